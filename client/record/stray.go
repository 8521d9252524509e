package record

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/medfed/medfed/chaincode/record"
)

// strayAfter is how old a pin is that no addition under way has made.
const strayAfter = 24 * time.Hour

// pinPrefix begins the names of the pins that the organisation's officers make, on its own
// node and on other members'.
func (c *Client) pinPrefix() string { return "record/" + c.MSP + "/" }

// pinName is the name under which a version's ciphertext is pinned before the ledger hears
// of it. A client that is killed in between leaves the pin, and by its name it is found.
func (c *Client) pinName(rec string, version int) string {
	return fmt.Sprintf("%s%d/%s/%d", c.pinPrefix(), time.Now().Unix(), rec, version)
}

// removeStray removes, from the nodes of Own and Others, what additions have left that
// were killed before the ledger heard of them: what is pinned for versions that are none of
// the organisation's. It gives their number.
func (c *Client) removeStray(ctx context.Context, versions map[record.VersionRequest]bool) (removed int, err error) {
	for _, store := range c.keepers() {
		named, err := store.Named(ctx, c.pinPrefix())
		if err != nil {
			return removed, err
		}
		for cid, name := range named {
			made, of, err := versionIn(strings.TrimPrefix(name, c.pinPrefix()))
			if err != nil || versions[of] || time.Since(made) < strayAfter {
				continue
			}
			if err := store.Remove(ctx, cid); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// versionIn reads the end of a pin's name: when it was made, and for which version.
func versionIn(name string) (made time.Time, of record.VersionRequest, err error) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return made, of, errors.New("it is the name of another kind of pin")
	}
	seconds, first := strconv.ParseInt(parts[0], 10, 64)
	number, second := strconv.Atoi(parts[2])
	return time.Unix(seconds, 0), record.VersionRequest{Record: parts[1], Version: number}, errors.Join(first, second)
}
