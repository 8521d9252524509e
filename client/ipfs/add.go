package ipfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"mime/multipart"
)

// Add streams r into the node, pins it there and returns its CID. The CID is
// computed here while the bytes pass; a node that reports another one gets
// MF-IPFS-ADD. An error of r itself comes back unchanged, and nothing is pinned.
// r is not read any more once Add has returned.
func (c *Client) Add(ctx context.Context, r io.Reader) (string, error) {
	return c.AddNamed(ctx, "", r)
}

// AddNamed is Add with a name on the pin, at most 255 bytes, by which [Client.Named] finds
// it: whoever was killed before the CID was written down anywhere has it again.
func (c *Client) AddNamed(ctx context.Context, name string, r io.Reader) (string, error) {
	ctx, progress, stop := c.watch(ctx)
	defer stop()
	content := cut(r, progress)
	ours := make(chan computed, 1)
	go func() {
		chunks := &hashed{leaves: content}
		s, err := compute(chunks, chunks)
		ours <- computed{s, err}
	}()
	theirs, err := c.upload(ctx, name, &sent{leaves: content})
	failed := content.end()
	own := <-ours

	switch {
	case failed != nil:
		return "", failed
	case err != nil:
		return "", c.diagnose(ctx, err)
	case own.err != nil:
		return "", codes.Wrapf("MF-IPFS-ADD", "the CID could not be computed: %w; add the content again", own.err)
	case own.cid != theirs:
		return "", codes.Errorf("MF-IPFS-ADD", "the node at %s stored %s where %s was sent; do not use this node", c.url, theirs, own.cid)
	}
	return own.cid, nil
}

type computed struct {
	cid string
	err error
}

// upload sends the content and returns the CID that the node reports.
func (c *Client) upload(ctx context.Context, name string, content io.Reader) (string, error) {
	var around bytes.Buffer
	form := multipart.NewWriter(&around)
	if _, err := form.CreateFormFile("file", ""); err != nil {
		return "", err
	}
	before := around.Len()
	if err := form.Close(); err != nil {
		return "", err
	}
	head, tail := around.Bytes()[:before], around.Bytes()[before:]
	request := c.api.Request("add")
	if name != "" {
		request.Option("pin-name", name)
	}
	answer, err := request.
		Option("cid-version", 1).
		Option("hash", "sha2-256").
		Option("raw-leaves", true).
		Option("chunker", fmt.Sprintf("size-%d", chunkSize)).
		Option("max-file-links", maxLinks).
		Option("trickle", false).
		Option("inline", false).
		Option("pin", true).
		Option("progress", false).
		Header("Content-Type", form.FormDataContentType()).
		Body(io.MultiReader(bytes.NewReader(head), content, bytes.NewReader(tail))).
		Send(ctx)
	if err != nil {
		return "", err
	}
	if answer.Error != nil {
		return "", answer.Error
	}
	defer answer.Cancel()
	var last struct{ Hash string }
	for decoder := json.NewDecoder(io.LimitReader(answer.Output, maxAnswer)); ; {
		if err := decoder.Decode(&last); err == io.EOF {
			break
		} else if err != nil {
			return "", fmt.Errorf("its answer to an add cannot be read: %w", err)
		}
	}
	if last.Hash == "" {
		return "", errors.New("its answer to an add names no CID")
	}
	return last.Hash, nil
}

// maxAnswer bounds an answer that has no content in it.
const maxAnswer = 1 << 20

// diagnose explains a failed upload. A node that refuses an upload may close the
// connection before its answer is read, so the node is asked again with a call
// that has no body.
func (c *Client) diagnose(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		if simpler := c.Check(ctx); simpler != nil {
			return simpler
		}
	}
	return c.explain(ctx, "adding a file", err)
}
