package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/network"
)

// localNetwork is the flags that name a network on this machine.
type localNetwork struct {
	consortium string
	state      string
	bin        string
	basePort   int
}

func (l *localNetwork) bind(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&l.consortium, "consortium", "test-network/consortium.yaml", "description of the consortium")
	flags.StringVar(&l.state, "state", ".run/network", "folder of the network's state")
	flags.StringVar(&l.bin, "bin", ".run/bin", "folder of the servers' binaries")
	flags.IntVar(&l.basePort, "base-port", 0, "first port instead of the consortium's own, for a second network on this machine")
}

func (l *localNetwork) open() (*network.Network, error) {
	if l.basePort != 0 && (l.basePort < 1024 || l.basePort > 65535) {
		return nil, usage("--base-port is %d; use 1024 to 65535", l.basePort)
	}
	described, err := network.Load(l.consortium)
	if err != nil {
		return nil, err
	}
	if l.basePort != 0 {
		described.BasePort = l.basePort
	}
	return network.Open(described, l.state, l.bin)
}

func newNetwork(a *app) *cobra.Command {
	l := &localNetwork{}
	c := group("network", "Bring the consortium's network up on this machine, or down",
		newNetworkUp(a, l), newNetworkDown(a, l), newNetworkStatus(a, l), newNetworkEnv(a, l),
		newNetworkCheck(a, l), newNetworkRepair(a, l), newNetworkRejoin(a, l), newNetworkRotateLogs(), newNetworkCollectGarbage())
	l.bind(c)
	return c
}

func newNetworkUp(a *app, l *localNetwork) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Make what is missing, start what is stopped, await every gateway",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			shown := a.newBars()
			err = n.Up(cmd.Context(), shown)
			shown.Close()
			if err != nil {
				return err
			}
			for k := range shown.losses {
				a.restoreFiles(cmd.Context(), n, &shown.losses[k])
			}
			return printNetwork(cmd.Context(), a, n, shown.losses)
		},
	}
}

func newNetworkDown(a *app, l *localNetwork) *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop what up started; certificates and ledgers stay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			if err := n.Down(cmd.Context()); err != nil {
				return err
			}
			if remove {
				if err := n.Remove(cmd.Context()); err != nil {
					return err
				}
			}
			result := map[string]any{"state": "down", "removed": remove}
			return a.print(result, func(w io.Writer) { fmt.Fprintln(w, "the network is down") })
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "also delete its certificates, identities and ledgers")
	return c
}

func newNetworkStatus(a *app, l *localNetwork) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show every process of the network",
		Long: fmt.Sprintf(`Show every process of the network: whether it runs and serves, where it listens,
and where its log is. Exits %d when any of them does not.`, exit.Network),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			processes, err := n.Status(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(printProcesses(a, processes, processes, nil), n.CheckRoom(), allServe(processes))
		},
	}
}

func newNetworkEnv(a *app, l *localNetwork) *cobra.Command {
	return &cobra.Command{
		Use:   "env ORGANISATION [IDENTITY]",
		Short: "Print what Fabric's own peer command needs, as shell exports",
		Long: `Print what Fabric's own peer command needs to act for an organisation, as
exports for the shell: as its administrator, or as one of its enrolled
identities.

  eval "$(medfed network env hospital1)"
  peer channel getinfo -c "$CHANNEL_NAME"

docs/fabric.md goes on from there.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			identity := ""
			if len(args) == 2 {
				identity = args[1]
			}
			variables, err := n.Environment(args[0], identity)
			if err != nil {
				return err
			}
			return a.printEnvironment(n.BinDir(), variables)
		},
	}
}

// environment is what "network env" prints as JSON.
type environment struct {
	Bin       string            `json:"bin"` // folder to put before PATH
	Variables map[string]string `json:"variables"`
}

func (a *app) printEnvironment(bin string, variables []network.Variable) error {
	result := environment{bin, map[string]string{}}
	for _, v := range variables {
		result.Variables[v.Name] = v.Value
	}
	return a.print(result, func(w io.Writer) {
		fmt.Fprintf(w, "export PATH=%s:\"$PATH\"\n", shellescape.Quote(bin))
		for _, v := range variables {
			fmt.Fprintf(w, "export %s=%s\n", v.Name, shellescape.Quote(v.Value))
		}
	})
}

// newNetworkRotateLogs is what up starts beside the servers.
func newNetworkRotateLogs() *cobra.Command {
	return &cobra.Command{
		Use:    "rotate-logs FOLDER",
		Short:  "Keep the logs of a folder within bounds; up starts it",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return network.RotateLogs(cmd.Context(), args[0]) },
	}
}

// newNetworkCollectGarbage is what up starts beside the IPFS nodes.
func newNetworkCollectGarbage() *cobra.Command {
	return &cobra.Command{
		Use:    "collect-garbage [RPC TOKENFILE]...",
		Short:  "Have IPFS nodes remove the blocks that no pin holds, every hour; up starts it",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args)%2 != 0 {
				return usage("%d arguments; name an RPC's address and its token file for each node", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var nodes []network.GarbageNode
			for pair := range slices.Chunk(args, 2) {
				nodes = append(nodes, network.GarbageNode{RPC: pair[0], Collect: func(ctx context.Context) error {
					node, err := ipfs.Open(ipfs.Config{URL: "http://" + pair[0], TokenFile: pair[1]})
					if err != nil {
						return err
					}
					defer node.Close()
					return node.Collect(ctx)
				}})
			}
			network.CollectGarbage(cmd.Context(), nodes, cmd.ErrOrStderr())
			return nil
		},
	}
}

func newNetworkRejoin(a *app, l *localNetwork) *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "rejoin ORGANISATION --remove",
		Short: "Have a peer that has lost its disk join the channel again",
		Long: `Have an organisation's peer join the channel again with nothing: for a peer
whose disk is lost or damaged. It gets the blocks from the orderers, and of the
private collections what other members hold. A hospital's own collections are
nowhere else: what they held is lost. Other chaincodes than medfed's have to be
installed again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !remove {
				return usage("everything that the peer of %s still has is deleted, and what lies in the organisation's own collections is nowhere else; say so with --remove", args[0])
			}
			n, err := l.open()
			if err != nil {
				return err
			}
			shown := a.newBars()
			err = n.RejoinPeer(cmd.Context(), args[0], shown)
			shown.Close()
			if err != nil {
				return err
			}
			result := map[string]any{"organisation": args[0], "state": "rejoined", "losses": shown.losses}
			return a.print(result, func(w io.Writer) {
				for _, l := range shown.losses {
					fmt.Fprintln(w, l)
				}
			})
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "delete everything that the peer still has")
	return c
}

func newNetworkCheck(a *app, l *localNetwork) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Find damaged blocks in the files of every peer",
		Long: fmt.Sprintf(`Read the block files of every peer, whether it runs or not, and hold every bit of
them against the hashes, the orderers' signatures and what the other peers have.
Nothing is changed. Exits %d when a block is damaged, and says which peer has it
and how it is made whole.`, exit.Network),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			found, err := n.CheckBlocks(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(printChains(a, found), allWhole(found))
		},
	}
}

func printChains(a *app, found []network.ChainStatus) error {
	return a.print(found, func(w io.Writer) {
		fmt.Fprintln(w, "PEER\tWHOLE BLOCKS\tDAMAGE")
		for _, c := range found {
			fmt.Fprintf(w, "%s\t%d\t%s\n", c.Process, c.Blocks, cmp.Or(c.Damage, "–"))
		}
	})
}

// allWhole refuses chains of which one is damaged.
func allWhole(found []network.ChainStatus) error {
	for _, c := range found {
		if c.Damage != "" {
			return codes.Errorf("MF-NETWORK-BLOCKS", "the block files of %s are damaged: %s; %s", c.Process, c.Damage, c.Restore)
		}
	}
	return nil
}

func newNetworkRepair(a *app, l *localNetwork) *cobra.Command {
	return &cobra.Command{
		Use:   "repair ORGANISATION",
		Short: "Make the damaged blocks of a peer whole from the other peers",
		Long: `Make the block files of an organisation's peer whole: damaged blocks are taken
from another peer, and the peer makes its databases anew from its blocks. Its
private data lies elsewhere and is kept; the files as they were are set aside.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := l.open()
			if err != nil {
				return err
			}
			if err := n.RepairPeer(cmd.Context(), args[0]); err != nil {
				return err
			}
			result := map[string]any{"organisation": args[0], "state": "repaired"}
			return a.print(result, func(w io.Writer) { fmt.Fprintf(w, "the blocks of the peer of %s are whole\n", args[0]) })
		},
	}
}

// allServe refuses processes of which one does not run or does not serve.
func allServe(processes []network.ProcessStatus) error {
	var ill []string
	for _, p := range processes {
		if p.State != network.Healthy {
			ill = append(ill, p.Name)
		}
	}
	if len(ill) == 0 {
		return nil
	}
	return codes.Errorf("MF-NETWORK-INCOMPLETE", "not every process of the network serves: %d of %d do not, %s among them; see their logs, and start them with medfed network up", len(ill), len(processes), ill[0])
}

// restoreFiles has a hospital's IPFS node that was healed keep the files of its
// records again, as one of its officers who is enrolled here, and says in the loss what
// came of it.
func (a *app) restoreFiles(ctx context.Context, n *network.Network, loss *network.Loss) {
	for _, org := range n.Consortium().Organisations {
		if loss.Process != "ipfs-"+org.Name || loss.Lost == "" {
			continue
		}
		officers := n.EnrolledAs(org.Name, consortium.RoleCustodian)
		if len(officers) == 0 {
			continue
		}
		officer := *a
		officer.profile, officer.identity = n.Profile(org.Name), n.IdentityDir(org.Name, officers[0])
		err := officer.records(nil, func(c *record.Client) error {
			done, err := c.Restore(ctx)
			if err == nil {
				loss.Healed += fmt.Sprintf("; of its records' files %d are pinned again, %d are held by nobody", done.Pinned, len(done.Missing))
			}
			return err
		})
		if err != nil {
			loss.Restore += fmt.Sprintf("; its records' files were not all fetched from others (%v), medfed record restore goes on with that", err)
		}
	}
}

// processLoss is a process with what it had lost with its folder.
type processLoss struct {
	network.ProcessStatus
	Loss *network.Loss `json:"loss,omitempty"`
}

// printNetwork shows the processes and what those had lost that were healed.
func printNetwork(ctx context.Context, a *app, n *network.Network, losses []network.Loss) error {
	processes, err := n.Status(ctx)
	if err != nil {
		return err
	}
	shown := make([]processLoss, len(processes))
	for i, p := range processes {
		shown[i].ProcessStatus = p
		if k := slices.IndexFunc(losses, func(l network.Loss) bool { return l.Process == p.Name }); k >= 0 {
			shown[i].Loss = &losses[k]
		}
	}
	return printProcesses(a, shown, processes, losses)
}

// printProcesses shows processes, as result in JSON, and what some had lost.
func printProcesses(a *app, result any, processes []network.ProcessStatus, losses []network.Loss) error {
	return a.print(result, func(w io.Writer) {
		fmt.Fprintln(w, "PROCESS\tSTATE\tPID\tMEMORY\tADDRESSES")
		for _, p := range processes {
			first, more := "", listening(p.Addresses)
			if len(more) > 0 {
				first, more = more[0], more[1:]
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, processID(p.PID), mebibytes(p.Memory), first)
			for _, address := range more {
				fmt.Fprintf(w, "\t\t\t\t%s\n", address)
			}
		}
		for _, p := range processes {
			if p.Problem != "" {
				fmt.Fprintf(w, "%s is %s: %s (log: %s)\n", p.Name, p.State, p.Problem, p.Log)
			}
		}
		for _, l := range losses {
			fmt.Fprintln(w, l)
		}
	})
}

func processID(pid int) string {
	if pid == 0 {
		return "–"
	}
	return strconv.Itoa(pid)
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return "–"
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// listening names what a process listens on, in the order of the names.
func listening(addresses map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		all = append(all, name+" "+addresses[name])
	}
	return all
}
