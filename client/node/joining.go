package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/fl"
)

// missing is what a joining task waits for before its coordinator starts it.
type missing struct {
	joined string // how many nodes have, of how many
	absent string // organisations of which no node has joined, and how many of how many they are
	terms  string // what the task's terms ask for besides
}

// sayWhatIsMissing logs what the coordinator of a joining task waits for, once, and
// again when it is something else.
func (n *Node) sayWhatIsMissing(v View) {
	now := missing{}
	if n.me(v).Coordinator && v.Task.Task.Phase == fl.TaskJoining {
		now = missingOf(v.Task, n.ExpectNodes, n.Members)
	}
	if now != n.missing && now != (missing{}) {
		n.Log.Info("waiting for nodes to join", "joined", now.joined, "absent", now.absent, "terms", now.terms)
	}
	n.missing = now
}

// missingOf is empty for a task that can be started.
func missingOf(task fl.TaskState, expected int, members []string) (m missing) {
	unheld := fl.CheckNodes(task.Task.Terms, task.Nodes)
	if expected > 0 && len(task.Nodes) >= expected && unheld == nil {
		return m
	}
	m.joined = fmt.Sprintf("%d of %d", len(task.Nodes), expected)
	if expected == 0 {
		m.joined = fmt.Sprintf("%d, and task start is left to you", len(task.Nodes))
	}
	absent := slices.DeleteFunc(slices.Clone(members), func(member string) bool {
		return slices.ContainsFunc(task.Nodes, func(n fl.Node) bool { return n.Org == member })
	})
	if len(absent) > 0 {
		m.absent = fmt.Sprintf("%s (%d of %d organisations)", strings.Join(absent, ", "), len(absent), len(members))
	}
	if unheld != nil {
		m.terms = unheld.Error()
	}
	return m
}
