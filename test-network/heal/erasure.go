package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/test-network/traces"
	"github.com/medfed/medfed/trainer/dataset"
)

// erased erases the record of the demo's scene, which is attested by every member, and gives
// how many nodes of either IPFS network still have a block of it. The canary, which is looked
// for afterwards, is the patient's number at the hospital.
func (b *bench) erased(ctx context.Context) (any, error) {
	data, err := dataset.Load(ctx, dataset.Synthetic, dataset.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := scenario.Records(ctx, scenario.RecordConfig{Network: b.network, Programs: b.bin, Dir: filepath.Join(b.folder, "record"), Data: data}); err != nil {
		return nil, err
	}
	private, public, err := b.ipfsNodes()
	if err != nil {
		return nil, err
	}
	var records []record.Record
	if err := b.medfed(ctx, "hospital1", &records, "record", "list"); err != nil {
		return nil, err
	}
	if len(records) != 1 {
		return nil, fmt.Errorf("hospital1 has %d records, not the scene's one", len(records))
	}
	id := records[0].Record
	_, pseudonym, _ := strings.Cut(records[0].Patient, "/")
	b.record, b.canary = id, scenario.PatientIdentifier(pseudonym)
	var erased struct {
		CIDs []string `json:"cids"`
	}
	if err := b.medfed(ctx, "hospital1", &erased, "record", "erase", id); err != nil {
		return nil, err
	}
	var blocks []string // what is gone at hospital1 others still have
	for _, cid := range erased.CIDs {
		of, err := scenario.BlocksOf(ctx, private["researchcentre"], cid)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, of...)
	}
	for _, member := range []string{"hospital2", "hospital3", "hospital4", "researchcentre"} {
		if _, err := b.network.Enrol(ctx, member, "officer", string(consortium.RoleCustodian)); err != nil {
			return nil, err
		}
		attest := []string{"record", "attest", id}
		for _, cid := range erased.CIDs {
			attest = append(attest, "--cid", cid)
		}
		if err := b.medfed(ctx, member, nil, attest...); err != nil {
			return nil, err
		}
	}
	if err := b.medfed(ctx, "hospital1", nil, "record", "erase", id); err != nil {
		return nil, err
	}
	serve := 0
	for _, at := range slices.Concat(slices.Collect(maps.Values(private)), public) {
		has, err := hasAny(ctx, at, blocks)
		if err != nil {
			return nil, err
		}
		if has {
			serve++
		}
	}
	b.Bar(serve == 0 && len(blocks) > 0, "%d IPFS nodes have one of %d blocks of what was erased, want none", serve, len(blocks))
	return serve, nil
}

// medfed runs the program as an organisation's officer, and reads what it prints.
func (b *bench) medfed(ctx context.Context, org string, result any, arguments ...string) error {
	arguments = append(arguments, "--profile", b.network.Profile(org), "--identity", b.network.IdentityDir(org, "officer"), "--format", "json")
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "medfed"), arguments...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("medfed %s %s: %w\n%s", arguments[0], arguments[1], err, messages.Bytes())
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(out.Bytes(), result)
}

// ipfsNodes are the private nodes by their organisations, and the public ones.
func (b *bench) ipfsNodes() (private map[string]gateway.IPFS, public []gateway.IPFS, err error) {
	private = map[string]gateway.IPFS{}
	for _, o := range b.network.Consortium().Organisations {
		p, err := gateway.LoadProfile(b.network.Profile(o.Name))
		if err != nil {
			return nil, nil, err
		}
		if node := p.Medfed.IPFS.Private; node.URL != "" {
			private[o.Name] = node
		}
		for _, node := range append([]gateway.IPFS{p.Medfed.IPFS.Public}, p.Medfed.IPFS.PublicErased...) {
			if node.URL != "" && !slices.Contains(public, node) {
				public = append(public, node)
			}
		}
	}
	return private, public, nil
}

// hasAny reports whether a node's own repository has one of the blocks.
func hasAny(ctx context.Context, at gateway.IPFS, blocks []string) (bool, error) {
	for _, block := range blocks {
		status, _, err := scenario.AskIPFS(ctx, at, "block/stat?offline=true&arg="+block)
		if err != nil || status == http.StatusOK {
			return status == http.StatusOK, err
		}
	}
	return false, nil
}

// canaryFiles counts the files of all the network's processes that hold the canary, as it
// is, encoded or compressed. The record's identifier, which is public, shows that the search
// sees what is there.
func (b *bench) canaryFiles(context.Context) (any, error) {
	sought, public := traces.Forms(b.canary), traces.Forms(b.record)
	found, seen := 0, 0
	err := traces.Files(b.network.StateDir(), func(path string, content []byte) {
		if traces.In(content, public) {
			seen++
		}
		if traces.In(content, sought) {
			found++
			b.Say("%s holds the canary", path)
		}
	})
	if err == nil && seen == 0 {
		err = errors.New("the search does not even see the record's public identifier")
	}
	b.Bar(found == 0, "%d files hold what was erased, want none; %d hold the record's public identifier", found, seen)
	return found, err
}
