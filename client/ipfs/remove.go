package ipfs

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/client/rpc"

	"github.com/medfed/medfed/chaincode/codes"
)

// collecting is how many times the client's patience a collection of garbage may take: it
// looks at everything that is pinned before it says a word.
const collecting = 20

// Remove takes a file out of the node's repository: its pin, and then every block that no
// other pinned content holds. It returns when the repository, asked without the network, has
// none of those, so that the node serves them to nobody. What is not there is removed
// already. A removal that ended halfway is gone on with. Errors: MF-IPFS-KEPT, and the usual.
func (c *Client) Remove(ctx context.Context, s string) error {
	root, err := parseCID(s)
	if err != nil {
		return err
	}
	if err := c.unpin(ctx, s); err != nil {
		return err
	}
	blocks, err := c.held(ctx, &block{cid: root, size: unknown})
	if err != nil {
		return err
	}
	const most = 200 // named in one request
	for some := range slices.Chunk(blocks, most) {
		if err := c.removeBlocks(ctx, some); err != nil {
			return err
		}
	}
	for _, id := range blocks {
		if err := c.checkRemoved(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// held lists the blocks of a file that are in the node's repository, a parent after its
// children: what is left of a removal that ended halfway is still found from the root.
func (c *Client) held(ctx context.Context, b *block) ([]string, error) {
	if b.cid.Type() == cid.Raw {
		return []string{b.cid.String()}, nil
	}
	content, err := c.blockFrom(ctx, b.cid, true)
	if codes.Of(err) == "MF-IPFS-NOT-FOUND" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, children, err := b.decode(content)
	if err != nil {
		return nil, err
	}
	var all []string
	seen := map[string]bool{}
	for _, child := range children {
		below, err := c.held(ctx, child)
		if err != nil {
			return nil, err
		}
		for _, id := range below {
			if !seen[id] {
				all, seen[id] = append(all, id), true
			}
		}
	}
	return append(all, b.cid.String()), nil
}

// removeBlocks asks the node to remove blocks. It keeps those that are pinned, and says so of
// each; whether the others are gone is seen afterwards.
func (c *Client) removeBlocks(ctx context.Context, blocks []string) error {
	doing := "removing blocks"
	return c.listen(ctx, c.timeout, doing, c.api.Request("block/rm", blocks...).Option("force", true), func(json.RawMessage) error { return nil })
}

// checkRemoved reports a block that the repository has and no pin holds.
func (c *Client) checkRemoved(ctx context.Context, id string) error {
	ctx, cancel := c.patience(ctx)
	defer cancel()
	doing := "looking for block " + id
	err := c.api.Request("block/stat", id).Option("offline", true).Exec(ctx, nil)
	if err != nil {
		if err = c.explain(ctx, doing, err); codes.Of(err) == "MF-IPFS-NOT-FOUND" {
			return nil
		}
		return err
	}
	ofOtherContent, err := c.pinned(ctx, id, "all")
	if err == nil && !ofOtherContent {
		return codes.Errorf("MF-IPFS-KEPT", "the node at %s keeps block %s, which nothing pinned holds; do it once more, and see the node's log when it stays", c.url, id)
	}
	return err
}

// Collect has the node remove all blocks that no pin holds. Reading goes on meanwhile; what
// is added or pinned waits. The time it takes grows with the repository. Errors:
// MF-IPFS-KEPT, and the usual.
func (c *Client) Collect(ctx context.Context) error {
	return c.listen(ctx, collecting*c.timeout, "collecting garbage", c.api.Request("repo/gc").Option("stream-errors", true), func(told json.RawMessage) error {
		var answer struct{ Error string }
		if err := json.Unmarshal(told, &answer); err != nil {
			return err
		}
		if answer.Error != "" {
			return codes.Errorf("MF-IPFS-KEPT", "the node at %s can't remove all that no pin holds: %s; see its log, and do it once more", c.url, answer.Error)
		}
		return nil
	})
}

// listen sends a request and hears each of the JSON values that come in answer.
func (c *Client) listen(ctx context.Context, most time.Duration, doing string, request rpc.RequestBuilder, hear func(json.RawMessage) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errSilent)
	defer cancel()
	answer, err := request.Send(ctx)
	if err != nil {
		return c.explain(ctx, doing, err)
	}
	if answer.Error != nil {
		return c.explain(ctx, doing, answer.Error)
	}
	defer answer.Cancel()
	for decoder := json.NewDecoder(answer.Output); ; {
		var told json.RawMessage
		if err := decoder.Decode(&told); err == io.EOF {
			return nil
		} else if err != nil {
			return c.explain(ctx, doing, err)
		}
		if err := hear(told); err != nil {
			return err
		}
	}
}
