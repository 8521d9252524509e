package ledger

import (
	"encoding/base64"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// Page reads up to size documents under a prefix in key order, from the
// bookmark of the page before ("" for the first). It gives the next bookmark,
// "" after the last page. Pages are for queries: Fabric refuses a submitted
// transaction that writes after paging.
//
// A bookmark is the key that the next page begins with, in the letters of base64url
// (RFC 4648 section 5): a key holds zero bytes, which no shell can pass back.
func Page[T any](ctx *Context, prefix Prefix, size int, bookmark string) ([]T, string, error) {
	return PageFrom[T](ctx, prefix, prefix, size, bookmark)
}

// PageFrom is Page, beginning not at the first document of the list but at the
// first whose key has the parts of start, which is longer, or comes after it.
func PageFrom[T any](ctx *Context, list, start Prefix, size int, bookmark string) ([]T, string, error) {
	if size < 1 || size > MaxPage {
		return nil, "", codes.Errorf("MF-PAGE-SIZE", "a page of %d was asked for; ask for 1 to %d", size, MaxPage)
	}
	from, err := firstKey(list, start, bookmark)
	if err != nil {
		return nil, "", err
	}
	results, meta, err := ctx.GetStub().GetStateByPartialCompositeKeyWithPagination(list.object, list.parts, int32(size), from)
	if err != nil {
		return nil, "", codes.Errorf("MF-LEDGER-READ", "the peer did not list %s; try again", list)
	}
	stored, err := drain(list, results)
	if err != nil {
		return nil, "", err
	}
	documents, err := unmarshalAll[T](list, stored)
	return documents, base64.RawURLEncoding.EncodeToString([]byte(meta.GetBookmark())), err
}

// firstKey is the key that a page begins with, "" for the first of the list.
func firstKey(list, start Prefix, bookmark string) (string, error) {
	prefix, err := list.compose()
	if err != nil {
		return "", err
	}
	first, err := start.compose()
	switch {
	case err != nil:
		return "", err
	case bookmark == "" && first == prefix:
		return "", nil
	case bookmark == "":
		return first, nil
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(bookmark)
	if err != nil || len(key) <= len(prefix) || !strings.HasPrefix(string(key), prefix) {
		return "", codes.Errorf("MF-PAGE-BOOKMARK", "the bookmark is of another list; pass the one the page before gave, or none")
	}
	return string(key), nil
}
