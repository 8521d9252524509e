package gateway

import "iter"

// pageSize is how many items are asked for at once where the caller does not say.
const pageSize = 100

// pages gives the items of a list that comes in pages, one after another. Page
// gives the items at a bookmark, "" for the first page, and the next bookmark, ""
// after the last. An error comes last, with no item.
func pages[T any](page func(bookmark string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for bookmark := ""; ; {
			items, next, err := page(bookmark)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if bookmark = next; bookmark == "" {
				return
			}
		}
	}
}

// Collect gives all items of a list, none as an empty slice, or its error.
func Collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	all := []T{}
	for item, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}
