package ipfs

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/ipfs/kubo/client/rpc"
)

// Pin makes the node fetch everything below the CID and keep it. It may take as
// long as it progresses. Pinning what is pinned is a success, and leaves the pin as
// it is: Kubo would take it away before it made it anew, without its name, and where
// the call ended between the two, the next collection of garbage would remove the file.
func (c *Client) Pin(ctx context.Context, s string) error { return c.PinNamed(ctx, "", s) }

// PinNamed is Pin with a name on a pin that it makes, at most 255 bytes, by which
// [Client.Named] finds it.
func (c *Client) PinNamed(ctx context.Context, name, s string) error {
	if err := CheckCID(s); err != nil {
		return err
	}
	if pinned, err := c.pinned(ctx, s, "recursive"); err != nil || pinned {
		return err
	}
	ctx, progress, stop := c.watch(ctx)
	defer stop()
	doing := "pinning " + s
	request := c.api.Request("pin/add", s).Option("recursive", true).Option("progress", true)
	if name != "" {
		request = request.Option("name", name)
	}
	answer, err := request.Send(ctx)
	if err != nil {
		return c.explain(ctx, doing, err)
	}
	if answer.Error != nil {
		return c.explain(ctx, doing, answer.Error)
	}
	defer answer.Cancel()
	if err := awaitPin(answer.Output, progress); err != nil {
		return c.explain(ctx, doing, err)
	}
	return nil
}

// awaitPin reads the node's reports, twice a second, until the one that names the
// pin; only a report that shows more blocks or bytes than before is progress.
func awaitPin(r io.Reader, progress func()) error {
	type report struct {
		Pins     []string
		Progress int
		Bytes    uint64
	}
	var last report
	for decoder := json.NewDecoder(r); ; {
		var now report
		if err := decoder.Decode(&now); err == io.EOF {
			return errors.New("its answer to a pin ended before the pin")
		} else if err != nil {
			return err
		}
		if len(now.Pins) > 0 {
			return nil
		}
		if now.Progress > last.Progress || now.Bytes > last.Bytes {
			progress()
		}
		last = now
	}
}

// unpin takes back a Pin or the pin of an Add. Unpinning what is not pinned is a success.
func (c *Client) unpin(ctx context.Context, s string) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	err := c.api.Request("pin/rm", s).Option("recursive", true).Exec(ctx, nil)
	var answer *rpc.Error
	if errors.As(err, &answer) && strings.Contains(answer.Message, "not pinned") {
		return nil
	}
	if err != nil {
		return c.explain(ctx, "unpinning "+s, err)
	}
	return nil
}

// pinned reports whether the node keeps a CID by a pin of a type: recursive, or all for
// one that it is below of, too.
func (c *Client) pinned(ctx context.Context, s, of string) (bool, error) {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	err := c.api.Request("pin/ls", s).Option("type", of).Option("offline", true).Exec(ctx, nil)
	var answer *rpc.Error
	if errors.As(err, &answer) && strings.Contains(answer.Message, "not pinned") {
		return false, nil
	}
	if err != nil {
		return false, c.explain(ctx, "looking for a pin of "+s, err)
	}
	return true, nil
}

// Named lists what is pinned under names that begin as asked: names by their CIDs.
func (c *Client) Named(ctx context.Context, prefix string) (map[string]string, error) {
	found := map[string]string{}
	request := c.api.Request("pin/ls").Option("type", "recursive").Option("name", prefix).Option("stream", true)
	err := c.listen(ctx, c.timeout, "listing pins", request, func(told json.RawMessage) error {
		var pin struct{ Cid, Name string }
		if err := json.Unmarshal(told, &pin); err != nil {
			return err
		}
		if strings.HasPrefix(pin.Name, prefix) { // the node asks only that the name has it somewhere
			found[pin.Cid] = pin.Name
		}
		return nil
	})
	return found, err
}
