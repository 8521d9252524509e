package ipfs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	chunker "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/multiformats/go-multihash"
)

const token = "a-token"

// fakeNode answers as Kubo's RPC does, from blocks in memory, and lies on request.
type fakeNode struct {
	*httptest.Server
	mu     sync.Mutex
	blocks map[string][]byte
	pins   map[string]bool
	names  map[string]string // of pins, by CID

	onBlock func(w http.ResponseWriter, id string, data []byte) bool // true: it has answered; set by lieOnBlocks
	onAdd   func(w http.ResponseWriter, r *http.Request) bool
	onPin   func(w http.ResponseWriter) bool
	keeps   bool                                     // removes no block
	onCat   func(w http.ResponseWriter, file []byte) // answers with what it makes of the file's bytes; set by lieOnCat
}

func newFakeNode(t testing.TB) *fakeNode {
	n := &fakeNode{blocks: map[string][]byte{}, pins: map[string]bool{}, names: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v0/version", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]string{"Version": "0.42.0"})
	})
	mux.HandleFunc("POST /api/v0/add", n.add)
	mux.HandleFunc("POST /api/v0/block/get", n.blockGet)
	mux.HandleFunc("POST /api/v0/cat", n.cat)
	mux.HandleFunc("POST /api/v0/pin/add", n.pinAdd)
	mux.HandleFunc("POST /api/v0/pin/rm", n.pinRemove)
	mux.HandleFunc("POST /api/v0/pin/ls", n.pinList)
	mux.HandleFunc("POST /api/v0/block/rm", n.blockRemove)
	mux.HandleFunc("POST /api/v0/block/stat", n.blockStat)
	mux.HandleFunc("POST /api/v0/repo/gc", n.collect)
	mux.HandleFunc("POST /api/v0/swarm/peers", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"Peers": []map[string]string{{"Addr": "/ip4/127.0.0.1/tcp/4001", "Peer": "12D3KooWx"}}})
	})
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "Kubo RPC Access Denied", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) client(t testing.TB, change func(*ipfs.Config)) *ipfs.Client {
	t.Helper()
	config := ipfs.Config{URL: n.URL, TokenFile: tokenFile(t, token+"\n"), Timeout: time.Minute}
	if change != nil {
		change(&config)
	}
	client, err := ipfs.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func tokenFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	json.NewEncoder(w).Encode(map[string]any{"Message": message, "Code": 0, "Type": "error"})
}

func (n *fakeNode) add(w http.ResponseWriter, r *http.Request) {
	if n.onAdd != nil && n.onAdd(w, r) {
		return
	}
	parts, err := r.MultipartReader()
	if err != nil {
		refuse(w, err.Error())
		return
	}
	part, err := parts.NextPart()
	if err != nil {
		refuse(w, err.Error())
		return
	}
	root, err := n.store(part, r.URL.Query().Get("chunker"))
	if err != nil {
		refuse(w, err.Error())
		return
	}
	if _, err := parts.NextPart(); err != io.EOF { // a body that was cut off has no last boundary
		refuse(w, fmt.Sprint(err))
		return
	}
	n.mu.Lock()
	n.pins[root.String()], n.names[root.String()] = r.URL.Query().Get("pin") == "true", r.URL.Query().Get("pin-name")
	n.mu.Unlock()
	answer(w, map[string]string{"Name": root.String(), "Hash": root.String(), "Size": "1"})
}

// store imports a file as Kubo does with the options of the request.
func (n *fakeNode) store(r io.Reader, chunking string) (cid.Cid, error) {
	splitter, err := chunker.FromString(r, chunking)
	if err != nil {
		return cid.Undef, err
	}
	parameters := helpers.DagBuilderParams{
		Maxlinks: 1024, RawLeaves: true, Dagserv: memory{n},
		CidBuilder: cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256},
	}
	layout, err := parameters.New(splitter)
	if err != nil {
		return cid.Undef, err
	}
	root, err := balanced.Layout(layout)
	if err != nil {
		return cid.Undef, err
	}
	return root.Cid(), nil
}

// lieOnBlocks may be called while requests are under way.
func (n *fakeNode) lieOnBlocks(lie func(w http.ResponseWriter, id string, data []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.onBlock = lie
}

// lieOnCat may be called while requests are under way, as one that a client has given up.
func (n *fakeNode) lieOnCat(lie func(w http.ResponseWriter, file []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.onCat = lie
}

func (n *fakeNode) pinned(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pins[id]
}

func (n *fakeNode) put(codec uint64, data []byte) cid.Cid {
	id, err := cid.V1Builder{Codec: codec, MhType: multihash.SHA2_256}.Sum(data)
	if err != nil {
		panic(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks[id.String()] = data
	return id
}

func (n *fakeNode) blockGet(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("arg")
	n.mu.Lock()
	data, ok := n.blocks[id]
	lie := n.onBlock
	n.mu.Unlock()
	if lie != nil && lie(w, id, data) {
		return
	}
	if !ok {
		refuse(w, "block was not found locally (offline): ipld: could not find "+id)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Write(data)
}

// cat streams a file; a lie about a leaf is in the stream too.
func (n *fakeNode) cat(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Trailer", "X-Stream-Error")
	root := r.URL.Query().Get("arg")
	out := w
	var whole recorder
	n.mu.Lock()
	lie := n.onCat
	n.mu.Unlock()
	if lie != nil {
		out = &whole
	} else {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
	}
	if err := n.stream(out, cid.MustParse(root)); err != nil {
		w.Header().Set("X-Stream-Error", err.Error())
	}
	if lie != nil {
		lie(w, whole.Bytes())
	}
}

func (n *fakeNode) stream(w http.ResponseWriter, id cid.Cid) error {
	n.mu.Lock()
	data, ok := n.blocks[id.String()]
	lie := n.onBlock
	n.mu.Unlock()
	if !ok {
		return fmt.Errorf("block was not found locally (offline): ipld: could not find %s", id)
	}
	if id.Type() == cid.Raw {
		if lie == nil || !lie(body{w}, id.String(), data) {
			w.Write(data)
		}
		return nil
	}
	node, err := merkledag.DecodeProtobuf(data)
	if err != nil {
		return err
	}
	file, err := unixfs.FSNodeFromBytes(node.Data())
	if err != nil {
		return err
	}
	w.Write(file.Data())
	for _, link := range node.Links() {
		if err := n.stream(w, link.Cid); err != nil {
			return err
		}
	}
	return nil
}

// body lets a lie about one block be a part of a longer answer.
type body struct{ w http.ResponseWriter }

func (b body) Header() http.Header         { return http.Header{} }
func (b body) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b body) WriteHeader(int)             {}

type recorder struct{ bytes.Buffer }

func (*recorder) Header() http.Header { return http.Header{} }
func (*recorder) WriteHeader(int)     {}

func (n *fakeNode) pinAdd(w http.ResponseWriter, r *http.Request) {
	if n.onPin != nil && n.onPin(w) {
		return
	}
	id := r.URL.Query().Get("arg")
	n.mu.Lock()
	n.pins[id], n.names[id] = true, r.URL.Query().Get("name")
	n.mu.Unlock()
	answer(w, map[string]any{"Progress": 1})
	json.NewEncoder(w).Encode(map[string]any{"Pins": []string{id}})
}

func (n *fakeNode) pinRemove(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("arg")
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.pins[id] {
		refuse(w, "not pinned or pinned indirectly")
		return
	}
	delete(n.pins, id)
	answer(w, map[string]any{"Pins": []string{id}})
}

// held is all blocks of what is pinned; called with the lock.
func (n *fakeNode) held() map[string]bool {
	all := map[string]bool{}
	var below func(id cid.Cid)
	below = func(id cid.Cid) {
		all[id.String()] = true
		if node, err := merkledag.DecodeProtobuf(n.blocks[id.String()]); id.Type() != cid.Raw && err == nil {
			for _, link := range node.Links() {
				below(link.Cid)
			}
		}
	}
	for id := range n.pins {
		below(cid.MustParse(id))
	}
	return all
}

func (n *fakeNode) pinList(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("arg")
	n.mu.Lock()
	defer n.mu.Unlock()
	if id == "" {
		for id := range n.pins {
			if name := n.names[id]; strings.Contains(name, r.URL.Query().Get("name")) {
				answer(w, map[string]string{"Cid": id, "Name": name, "Type": "recursive"})
			}
		}
		return
	}
	if held := n.held()[id]; !held || r.URL.Query().Get("type") == "recursive" && !n.pins[id] {
		refuse(w, "path '"+id+"' is not pinned")
		return
	}
	answer(w, map[string]any{"Keys": map[string]any{id: map[string]string{"Type": "indirect"}}})
}

func (n *fakeNode) blockStat(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("arg")
	n.mu.Lock()
	defer n.mu.Unlock()
	data, ok := n.blocks[id]
	if !ok {
		refuse(w, "block was not found locally (offline): ipld: could not find "+id)
		return
	}
	answer(w, map[string]any{"Key": id, "Size": len(data)})
}

func (n *fakeNode) blockRemove(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := n.held()
	for _, id := range r.URL.Query()["arg"] {
		if held[id] {
			answer(w, map[string]any{"Hash": id, "Error": "pinned: indirect"})
			continue
		}
		if !n.keeps {
			delete(n.blocks, id)
		}
		answer(w, map[string]any{"Hash": id})
	}
}

func (n *fakeNode) collect(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := n.held()
	w.Header().Set("Content-Type", "application/json")
	for id := range n.blocks {
		switch {
		case held[id]:
		case n.keeps:
			answer(w, map[string]any{"Error": "could not remove " + id})
		default:
			delete(n.blocks, id)
			answer(w, map[string]any{"Key": map[string]string{"/": id}})
		}
	}
}

// has reports whether a block is in the node's repository.
func (n *fakeNode) has(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.blocks[id] != nil
}

// memory lets boxo's importer fill the fake node.
type memory struct{ n *fakeNode }

func (m memory) Add(_ context.Context, node ipld.Node) error {
	m.n.mu.Lock()
	defer m.n.mu.Unlock()
	m.n.blocks[node.Cid().String()] = node.RawData()
	return nil
}

func (m memory) AddMany(ctx context.Context, nodes []ipld.Node) error {
	for _, node := range nodes {
		if err := m.Add(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

func (memory) Get(_ context.Context, id cid.Cid) (ipld.Node, error) {
	return nil, fmt.Errorf("%s is not read back", id)
}
func (memory) Remove(context.Context, cid.Cid) error                      { return nil }
func (memory) RemoveMany(context.Context, []cid.Cid) error                { return nil }
func (memory) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption { return nil }
