package ipfs_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"

	"github.com/medfed/medfed/client/ipfs"
)

// removed is what Remove and Collect promise, of a node of whose repository has tells.
func removed(t *testing.T, client *ipfs.Client, has func(id string) bool) {
	const leaf = 1 << 20
	first := content(3*leaf + 5)
	second := append(bytes.Clone(first[:leaf]), "and another end"...)
	ids := map[string]string{}
	for name, of := range map[string][]byte{"shared": first[:leaf], "middle": first[leaf : 2*leaf], "end": first[3*leaf:], "other end": second[leaf:]} {
		id, err := ipfs.ComputeCID(bytes.NewReader(of))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = id
	}
	for name, file := range map[string][]byte{"first": first, "second": second} {
		id, err := client.Add(t.Context(), bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = id
	}
	check := func(when string, want ...string) {
		t.Helper()
		there := map[string]bool{}
		for _, name := range want {
			there[name] = true
		}
		for name, id := range ids {
			if has(id) != there[name] {
				t.Errorf("%s, block %q is there: %t", when, name, !there[name])
			}
		}
	}
	check("when both files are added", "first", "second", "shared", "middle", "end", "other end")
	for _, when := range []string{"without the first", "when the first is removed again"} {
		if err := client.Remove(t.Context(), ids["first"]); err != nil {
			t.Fatal(err)
		}
		check(when, "second", "shared", "other end")
	}
	if got, err := read(t.Context(), client, ids["second"]); err != nil || !bytes.Equal(got, second) {
		t.Errorf("the file that shares a block has %d bytes, %v", len(got), err)
	}
	if err := client.Remove(t.Context(), ids["second"]); err != nil {
		t.Fatal(err)
	}
	check("without both")

	// One that is not pinned goes with the garbage, one that is stays.
	kept, err := client.Add(t.Context(), bytes.NewReader(second))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the source broke")
	if _, err := client.Add(t.Context(), io.MultiReader(bytes.NewReader(first[:2*leaf+1]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	await(t, "a repository without garbage", func() bool { // Kubo stores what came of the broken one a moment later
		if err := client.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		return !has(ids["middle"])
	})
	check("without garbage", "second", "shared", "other end")
	if err := client.Remove(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
}

func TestRemovedMeansGone(t *testing.T) {
	node := newFakeNode(t)
	removed(t, node.client(t, nil), node.has)
	garbage := node.put(cid.Raw, []byte("garbage")).String()
	if err := node.client(t, nil).Collect(t.Context()); err != nil || node.has(garbage) {
		t.Errorf("the garbage is there: %t, %v", node.has(garbage), err)
	}
}

func TestNodeThatKeepsWhatItShouldRemove(t *testing.T) {
	node := newFakeNode(t)
	client := node.client(t, nil)
	id, err := client.Add(t.Context(), bytes.NewReader(content(2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	node.put(cid.Raw, []byte("garbage"))
	node.keeps = true
	wantCode(t, client.Remove(t.Context(), id), "MF-IPFS-KEPT")
	wantCode(t, client.Collect(t.Context()), "MF-IPFS-KEPT")
	node.keeps = false
	if err := client.Remove(t.Context(), id); err != nil || node.has(id) {
		t.Errorf("the block is there: %t, %v", node.has(id), err)
	}
}
