package testnetwork

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

func dataFolder() string { return os.Getenv(dataset.FolderVariable) }

// Bad input at the doors that only a real network has: each is refused with a
// code that says what to do, and leaves nothing half-written.
func TestDoors(t *testing.T) {
	n := liveNetwork(t)
	coordinator, node := as(t, n, "researchcentre/coordinator"), as(t, n, "hospital1/node1")
	auditor := as(t, n, "auditor/auditor")
	create := []string{"task", "create", "doors", "--data", "synthetic", "--format", "json"}
	coordinator.must(t, create...)

	t.Run("unknown task", func(t *testing.T) {
		node.refused(t, "MF-TASK-UNKNOWN", "task", "show", "no-such-task")
		node.refused(t, "MF-TASK-UNKNOWN", "node", "run", "no-such-task", "--data", "synthetic")
	})
	t.Run("wrong role", func(t *testing.T) {
		node.refused(t, "MF-ROLE-DENIED", "task", "create", "other", "--data", "synthetic")
		auditor.refused(t, "MF-PROFILE-IPFS", "node", "run", "doors", "--data", "synthetic")
	})
	t.Run("another coordinator's terms", func(t *testing.T) {
		coordinator.refused(t, "MF-TASK-EXISTS", append(create, "--rounds", "9")...)
	})
	t.Run("the same terms again", func(t *testing.T) { coordinator.must(t, create...) })
	t.Run("numbers that can't hold f", func(t *testing.T) {
		coordinator.refused(t, "MF-TERMS-FAULTS", "task", "create", "weak", "--data", "synthetic", "--f", "2", "--masters", "4")
	})
	t.Run("not a recipient", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "model.safetensors")
		node.refused(t, "MF-ENVELOPE-NOT-RECIPIENT", "model", "get", "doors", "--out", out)
		absent(t, out)
	})
	t.Run("the coordinator's own model", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "model.safetensors")
		coordinator.must(t, "model", "get", "doors", "--out", out)
		var state fl.TaskState
		if err := json.Unmarshal([]byte(coordinator.must(t, "task", "show", "doors", "--format", "json")), &state); err != nil {
			t.Fatal(err)
		}
		w, described, err := model.ReadFile(out)
		if err != nil || w.Digest() != state.Task.Initial.Digest || w.Size() != state.Task.Initial.Size {
			t.Errorf("model get wrote other weights than the ledger's %+v (%v)", state.Task.Initial, err)
		}
		if described == nil || !slices.Equal(described.Classes, state.Task.ClassNames) {
			t.Errorf("the file says %+v, and the task's classes are %q", described, state.Task.ClassNames)
		}
	})
	t.Run("dead IPFS node", func(t *testing.T) {
		if err := n.StopProcess(t.Context(), "ipfs-researchcentre"); err != nil {
			t.Fatal(err)
		}
		defer restart(t, n, "ipfs-researchcentre")
		out := filepath.Join(t.TempDir(), "model.safetensors")
		coordinator.refused(t, "MF-IPFS-UNREACHABLE", "model", "get", "doors", "--out", out)
		absent(t, out)
		coordinator.refused(t, "MF-IPFS-UNREACHABLE", "task", "create", "nowhere", "--data", "synthetic")
		coordinator.refused(t, "MF-TASK-UNKNOWN", "task", "show", "nowhere")
	})
}

// absent fails the test when a refused command has left a file, or a part of it.
func absent(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("the refused command left %s behind", e.Name())
	}
}
