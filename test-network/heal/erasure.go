package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/test-network/scenario"
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
	b.canary = []byte(scenario.PatientIdentifier(pseudonym))
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

// canaryFiles counts the files of all the network's processes that hold the canary, as it is or
// in base64. What a data base has compressed is not seen.
func (b *bench) canaryFiles(context.Context) (any, error) {
	sought := [][]byte{b.canary}
	for skipped := range 3 { // wherever the canary begins among three bytes
		text := base64.StdEncoding.EncodeToString(b.canary[skipped:])
		sought = append(sought, []byte(text[:len(text)/4*4-4]))
	}
	found := 0
	err := filepath.WalkDir(b.network.StateDir(), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if slices.ContainsFunc(sought, func(text []byte) bool { return bytes.Contains(content, text) }) {
			found++
			name, _ := filepath.Rel(b.network.StateDir(), path)
			b.Say("%s holds the canary", name)
		}
		return err
	})
	b.Bar(found == 0, "%d files hold what was erased, want none", found)
	return found, err
}
