package record

import (
	"context"

	"github.com/medfed/medfed/chaincode/record"
)

// OpenKept opens a sealed private part that a data base has kept.
func (c *Client) OpenKept(ctx context.Context, sealed record.SealedVersion) error {
	_, err := c.open(ctx, sealed)
	return err
}
