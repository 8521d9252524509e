package testnetwork

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/network"
)

// blocksToLive is after how many blocks the peers of the network of this file
// drop what lies in a hospital's collections.
const blocksToLive = 15

// Case 20: what was purged, and what has outlived its blocks, does not come back,
// neither when the custodian's peer makes its databases anew from what it has
// stored, nor when it has lost all and joins the channel again; and then it is in
// no file of any process.
func TestCase20PurgedAndExpiredStayGoneWhenAPeerRejoins(t *testing.T) {
	n := ownNetwork(t, func(c *network.Consortium) {
		c.Collections.Records.BlockToLive, c.Collections.Grants.BlockToLive = blocksToLive, blocksToLive
	})
	w := wardOf(t, n)
	const peer = "peer-" + custodian
	outlived := w.add("", canary("MRN"), "one").Record
	purged := w.add("", canary("MRN"), "two").Record
	needles := []needle{w.sealedOf(outlived), w.sealedOf(purged)}
	w.search(outlived, needles)
	_, err := w.officer.Erase(t.Context(), purged)
	w.committed(err)
	first := records.VersionRequest{Record: outlived, Version: 1}
	for range blocksToLive {
		_, err := w.requester.Ledger.Accesses.RequestAccess(t.Context(), use(noConsent, outlived, 1)) // a denial makes a block too
		w.committed(err)
	}
	gone := func(when string) {
		t.Helper()
		for _, id := range []string{outlived, purged} {
			if private, err := w.officer.Ledger.Records.GetPrivate(t.Context(), custodianMSP, records.VersionRequest{Record: id, Version: 1}); err == nil {
				t.Errorf("%s: %+v", when, private)
			}
		}
		_, err := w.officer.Ledger.Records.GetPrivate(t.Context(), custodianMSP, first)
		w.denied("MF-VERSION-UNKNOWN", err)
	}
	gone("purged and outlived")
	w.publish(w.officer) // the key that the officers share lies there too
	kept := w.add("", canary("MRN"), "three").Record
	needles = append(needles, w.sealedOf(kept))
	again := w.held(kept, 1)

	w.must(n.StopProcess(t.Context(), peer))
	w.rebuild(peer)
	w.must(n.StartProcess(t.Context(), peer))
	// No other can answer for it, so a peer that counts as started takes calls.
	connection, err := net.DialTimeout("tcp", w.listens(peer, "peer"), patience)
	w.must(err)
	w.must(connection.Close())
	w.sealedOf(kept)
	gone("after its databases were made anew")

	operator := as(t, n, custodian+"/officer")
	which := []string{"--state", n.StateDir(), "--bin", programs(t), "--consortium", consortiumFile(t, n)}
	operator.must(t, append([]string{"network", "check"}, which...)...)
	folder := filepath.Join(n.StateDir(), "nodes", peer, "data")
	damage(t, filepath.Join(folder, "ledgersData", "chains", "chains", n.Consortium().Channel, "blockfile_000000"))
	operator.refused(t, "MF-NETWORK-BLOCKS", append([]string{"network", "check"}, which...)...)
	operator.must(t, append([]string{"network", "repair", custodian}, which...)...)
	operator.must(t, append([]string{"network", "check"}, which...)...)
	w.sealedOf(kept)
	gone("after its blocks were repaired")

	w.must(n.StopProcess(t.Context(), peer))
	earlier := filepath.Join(t.TempDir(), "data")
	w.must(os.CopyFS(earlier, os.DirFS(folder)))
	began := time.Now()
	command := append([]string{"network", "rejoin", custodian}, which...)
	operator.refused(t, "MF-USAGE", command...)
	operator.must(t, append(command, "--remove")...)
	t.Logf("rejoined in %.2fs", time.Since(began).Seconds())
	// What nobody else holds is not waited for, block by block.
	if waited, err := strconv.ParseFloat(metric(t, "http://"+w.listens(peer, "operations")+"/metrics", "gossip_privdata_fetch_duration_sum"), 64); err != nil || waited >= 1 {
		t.Errorf("the peer looked for private data for %v s, %v", waited, err)
	}
	_, err = w.officer.Ledger.Records.GetPrivate(t.Context(), custodianMSP, records.VersionRequest{Record: kept, Version: 1})
	w.denied("MF-PRIVATE-READ", err)
	w.settle()
	w.files(func(path string, content []byte) {
		for _, n := range needles {
			if n.in(content) {
				t.Errorf("after the peer has rejoined %s is in %s", n.what, path)
			}
		}
	})
	gone("after the peer has rejoined")
	again.Record = record.NewRecordID()
	_, err = w.officer.Ledger.Records.Stage(t.Context(), custodianMSP, again)
	w.committed(err)
	_, err = w.officer.Ledger.Records.Register(t.Context(), w.registration(again))
	w.committed(err)
	if got := w.held(again.Record, 1); got != again {
		t.Errorf("the peer that has rejoined keeps %+v, want %+v", got, again)
	}

	// What only this peer had comes back with an earlier copy of its folder, put
	// there as up and rejoin say, and what was purged before does not.
	w.must(n.Down(t.Context()))
	w.must(os.RemoveAll(folder))
	w.must(os.CopyFS(folder, os.DirFS(earlier)))
	// And its IPFS node, which has lost its repository meanwhile, keeps its files again.
	w.must(os.RemoveAll(filepath.Join(n.StateDir(), "nodes", "ipfs-"+custodian)))
	if said := operator.must(t, append([]string{"network", "up"}, which...)...); !strings.Contains(said, "files 1 are pinned again") {
		t.Errorf("up says %s", said)
	}
	w.sealedOf(kept)
	gone("after its earlier copy was put back")
}

// damage turns one bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sealedOf is what the custodian's collection holds of a record's version 1.
func (w *ward) sealedOf(id string) needle {
	w.t.Helper()
	return needle{what: "the sealed private part of " + id, text: tail(w.held(id, 1).Sealed), custodian: true}
}

// rebuild has a stopped peer drop its databases, which it makes anew from blocks
// and private data when it starts.
func (w *ward) rebuild(process string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs(w.t), "peer"), "node", "rebuild-dbs")
	cmd.Env = append(os.Environ(), "FABRIC_CFG_PATH="+filepath.Join(w.network.StateDir(), "nodes", process))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}
