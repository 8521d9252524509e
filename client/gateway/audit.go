package gateway

import (
	"context"
	"iter"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
)

// Audit are the transactions of the contract audit.
type Audit struct{ Caller }

// ListAccesses gives one page of accesses, newest first, denials included.
func (a Audit) ListAccesses(ctx context.Context, r consent.AccessListRequest) (consent.AccessPage, error) {
	return listAccesses(ctx, a, r)
}

// AllAccesses gives what ListAccesses pages from the bookmark of a request on; a
// page has as many as the request says.
func (a Audit) AllAccesses(ctx context.Context, r consent.AccessListRequest) iter.Seq2[consent.Access, error] {
	return pages(func(bookmark string) ([]consent.Access, string, error) {
		if bookmark != "" {
			r.Bookmark = bookmark
		}
		page, err := listAccesses(ctx, a, r)
		return page.Accesses, page.Bookmark, err
	})
}

// History gives the committed values of any key. Caller: an auditor.
func (a Audit) History(ctx context.Context, key ledger.HistoryRequest) (ledger.History, error) {
	return history(ctx, a, key)
}
