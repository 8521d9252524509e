package network

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/codes"
)

// Reporter hears how far Up has come. Step is called whenever something has
// been done: done of total parts of the named step. Lost is called for each
// process that had lost its folder or did not answer, when it serves again. Steps overlap, but
// calls do not.
type Reporter interface {
	Step(name string, done, total int)
	Lost(loss Loss)
}

// The steps Up reports, in the order in which they begin.
const (
	StepCertificates = "certificates and configuration"
	StepServers      = "orderers, peers and chaincode services"
	StepAuthorities  = "Fabric CAs and identities"
	StepIPFS         = "IPFS"
	StepChannel      = "channel"
	StepRejoin       = "servers that had lost their ledger"
	StepChaincode    = "chaincode definition"
	StepGateways     = "gateways"
)

// reporting passes steps on, one at a time, to a reporter that may be nil.
type reporting struct {
	mu sync.Mutex
	to Reporter
}

// step begins a step of so many parts and returns what reports one part done.
func (r *reporting) step(name string, total int) (done func()) {
	var count atomic.Int64
	tell := func(part int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.to != nil {
			r.to.Step(name, part, total)
		}
	}
	tell(0)
	return func() { tell(int(count.Add(1))) }
}

// lost reports a loss that is healed as far as it can be.
func (r *reporting) lost(l Loss) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to != nil {
		r.to.Lost(l)
	}
}

// Up brings the network up: it makes what has not been made, starts what does
// not run, and returns when every process is healthy and every gateway has
// committed a transaction. On a network that is up it only asks every process
// for its health. A peer or an orderer whose ledger is gone joins the channel
// again, an IPFS node whose repository is gone gets a new one that its neighbours
// are told of; what is lost with them is reported. A process that runs and does not
// answer for some ten seconds, or that a signal has suspended, is ended and started
// again, which is reported too. A connection profile that is gone is written again.
// What is healthy runs on meanwhile. When Up fails it stops what it has started; certificates, ledgers and
// logs stay. The report may be nil.
//
// Codes: MF-NETWORK-PORT (a port is taken), MF-NETWORK-HOST (a node belongs to
// another machine), MF-NETWORK-ADDRESS (the machine has only the loopback
// address), MF-NETWORK-BINARY (a program is missing), MF-NETWORK-CHANGED (the
// state was made from another consortium.yaml), MF-NETWORK-STATE (the folder
// can't be used), MF-NETWORK-PROCESS, MF-NETWORK-TOOL, MF-NETWORK-CHANNEL and
// MF-NETWORK-READY (something failed; the error names it and shows the end of
// its log), MF-NETWORK-HANGS (a process does not answer and can't be ended; all others have
// been seen to), MF-NETWORK-DISK (the state folder's disk is full),
// MF-NETWORK-RUNFILE (what is written down of a process is damaged).
func (n *Network) Up(ctx context.Context, report Reporter) error {
	unlock, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.findAgain(); err != nil {
		return err
	}
	missing := n.stopped()
	if err := n.check(ctx, missing); err != nil {
		return err
	}
	if err := n.bringUp(ctx, &reporting{to: report}, missing); codes.Of(err) == processHangs {
		return err // all others serve
	} else if err != nil {
		var names []string
		for _, p := range missing {
			names = append(names, p.name)
		}
		return errors.Join(err, n.stopAll(context.WithoutCancel(ctx), names))
	}
	return nil
}

// stopped lists the processes that do not run.
func (n *Network) stopped() []*process {
	return slices.DeleteFunc(slices.Clone(n.processes), func(p *process) bool {
		_, alive := n.current(p.name)
		return alive
	})
}

// check refuses to begin what could not be ended.
func (n *Network) check(ctx context.Context, missing []*process) error {
	r, err := n.readRecord()
	if err != nil {
		return err
	}
	if err := n.mustBeOurs(r); err != nil {
		return err
	}
	if err := n.checkHosts(ctx); err != nil {
		return err
	}
	if err := n.CheckRoom(); err != nil {
		return err
	}
	programs := []string{"cryptogen", "configtxgen", "osnadmin", "fabric-ca-client"}
	for _, p := range missing {
		programs = append(programs, p.program)
	}
	for _, program := range programs {
		if _, err := n.binary(program); err != nil {
			return err
		}
	}
	return n.checkPorts(missing)
}

// checkHosts makes sure that every node belongs to this machine, and that the
// machine has an address a peer accepts: it refuses one with nothing but loopback.
func (n *Network) checkHosts(ctx context.Context) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return codes.Wrapf("MF-NETWORK-ADDRESS", "this machine's addresses can't be read (%w); run it where they can", err)
	}
	own := map[string]bool{}
	outside := false
	for _, one := range addresses {
		if ip, ok := one.(*net.IPNet); ok {
			own[ip.IP.String()] = true
			outside = outside || !ip.IP.IsLoopback() && ip.IP.To4() != nil
		}
	}
	if !outside {
		return codes.Errorf("MF-NETWORK-ADDRESS", "this machine has no IPv4 address but loopback, with which a Fabric peer does not start; give it one, for instance: ip addr add 192.0.2.1/32 dev lo")
	}
	checked := map[string]bool{}
	for _, p := range n.processes {
		if !checked[p.host] && !isOwn(ctx, p.host, own) {
			return codes.Errorf("MF-NETWORK-HOST", "%s belongs to host %s, which is not this machine; up starts networks that lie on one machine", p.name, p.host)
		}
		checked[p.host] = true
	}
	return nil
}

// isOwn says whether a host, by address or name, is this machine.
func isOwn(ctx context.Context, host string, own map[string]bool) bool {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	return err == nil && slices.ContainsFunc(found, func(a net.IPAddr) bool {
		return a.IP.IsLoopback() || own[a.IP.String()]
	})
}

// checkPorts makes sure that every process can listen before any is started.
func (n *Network) checkPorts(missing []*process) error {
	for _, p := range missing {
		for use, listens := range p.ports {
			if err := free(listens); err != nil {
				return codes.Wrapf("MF-NETWORK-PORT", "%s can't listen on %s for %s (%w); stop what listens there or choose another base port than %d", p.name, listens, use, err, n.consortium.BasePort)
			}
		}
	}
	return nil
}

func (n *Network) bringUp(ctx context.Context, r *reporting, missing []*process) error {
	if err := n.generate(ctx, r); err != nil {
		return err
	}
	for i, a := range n.authorities {
		if !exists(n.Profile(a.Organisation.Name)) {
			if err := n.writeProfile(i); err != nil {
				return err
			}
		}
	}
	if len(missing) > 0 {
		if err := n.update(func(rec *record) { rec.Ready = false }); err != nil {
			return err
		}
	}
	if _, err := n.startAnew(ctx, r, n.withPrefix("log-rotation", "garbage-collection"), func() {}); err != nil {
		return err
	}
	return all(ctx, []func(context.Context) error{
		func(ctx context.Context) error { return n.bringLedgerUp(ctx, r) },
		func(ctx context.Context) error { return n.bringAuthoritiesUp(ctx, r) },
		func(ctx context.Context) error { return n.bringSwarmsUp(ctx, r) },
	})
}

// processHangs is the code of a process that runs and does not answer.
const processHangs codes.Code = "MF-NETWORK-HANGS"

// all does parts at once and gives up when one fails. A process that hangs keeps
// no other part from its work; its error comes last.
func all(ctx context.Context, parts []func(context.Context) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	hanging := make([]error, len(parts))
	for i, part := range parts {
		group.Go(func() error {
			err := part(groupCtx)
			if codes.Of(err) == processHangs {
				hanging[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(hanging...)
}

// update changes the record.
func (n *Network) update(change func(*record)) error {
	rec, err := n.readRecord()
	if err != nil {
		return err
	}
	change(&rec)
	return n.writeRecord(rec)
}

// Generate makes the certificates, the channel's first block and every
// configuration, for the hosts that the consortium names, and starts nothing.
// It does nothing when they are there.
func (n *Network) Generate(ctx context.Context, report Reporter) error {
	unlock, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return n.generate(ctx, &reporting{to: report})
}

func (n *Network) generate(ctx context.Context, r *reporting) error {
	rec, err := n.readRecord()
	if err != nil {
		return err
	}
	if rec.Made != "" {
		return nil
	}
	if slices.ContainsFunc(n.chains(), func(c *chain) bool { return exists(c.blocks) }) {
		return n.recordLost(errors.New("it says that nothing has been made, and there are ledgers"))
	}
	if err := n.clear(); err != nil { // an interrupted attempt
		return err
	}
	parts := []func(context.Context) error{n.makeLedgerFiles}
	for _, s := range n.swarms {
		parts = append(parts, func(ctx context.Context) error { return n.makeSwarm(ctx, s) })
	}
	done := r.step(StepCertificates, len(parts))
	group, groupCtx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error {
			defer done()
			return part(groupCtx)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return n.writeRecord(record{Made: n.madeFrom()})
}

// generated are the folders of the state folder, except the locks.
var generated = []string{"crypto", "channel", "chaincode", "builders", "nodes", "logs", "run", "profiles", "identities", "secrets", "keys"}

// clear makes the state folder an empty one.
func (n *Network) clear() error {
	for _, name := range generated {
		if err := os.RemoveAll(n.path(name)); err != nil {
			return n.stateError(err)
		}
	}
	for _, name := range []string{"logs", "run", "secrets"} {
		if err := os.MkdirAll(n.path(name), 0o700); err != nil {
			return n.stateError(err)
		}
	}
	return nil
}

// makeLedgerFiles makes what orderers, peers and CAs start from.
func (n *Network) makeLedgerFiles(ctx context.Context) error {
	if err := n.makeCertificates(ctx); err != nil {
		return err
	}
	if err := n.makeChannel(ctx); err != nil {
		return err
	}
	steps := []error{n.writeBuilder(), n.writeChaincode()}
	for _, o := range n.orderers {
		steps = append(steps, n.writeOrderer(o))
	}
	for _, p := range n.peers {
		steps = append(steps, n.writePeer(p), n.writeConnection(p))
	}
	for i, a := range n.authorities {
		steps = append(steps, n.writeAuthority(a), n.writeProfile(i))
	}
	return errors.Join(steps...)
}

// start starts those of the named kinds of process that do not run, and waits
// until all of them are healthy.
func (n *Network) start(ctx context.Context, processes []*process, done func()) error {
	return n.startAnd(ctx, processes, done, n.awaitHealthy)
}

// startAnew is start, but one that ran before and does not answer is ended and started
// again, which the report hears. It reports whether there was one.
func (n *Network) startAnew(ctx context.Context, r *reporting, processes []*process, done func()) (anew bool, err error) {
	var ended atomic.Bool
	err = n.startAnd(ctx, processes, done, func(ctx context.Context, p *process, ranBefore bool) error {
		err := n.awaitHealthy(ctx, p, ranBefore)
		if !ranBefore || codes.Of(err) != processHangs {
			return err
		}
		if err := n.stop(ctx, p.name); err != nil {
			return codes.Wrapf(processHangs, "%s does not answer: %w", p.name, err)
		}
		ended.Store(true)
		if err := n.launch(p); err != nil {
			return err
		}
		if err := n.awaitHealthy(ctx, p, false); err != nil {
			return err
		}
		r.lost(Loss{Process: p.name, Healed: "ran and did not answer, so it was ended and started again; it has all that it had confirmed"})
		return nil
	})
	return ended.Load(), err
}

// startAnd starts those that do not run, and waits for all of them.
func (n *Network) startAnd(ctx context.Context, processes []*process, done func(), await func(ctx context.Context, p *process, ranBefore bool) error) error {
	var parts []func(context.Context) error
	for _, p := range processes {
		_, ranBefore := n.current(p.name)
		if !ranBefore {
			if err := n.launch(p); err != nil {
				return err
			}
		}
		parts = append(parts, func(ctx context.Context) error {
			defer done()
			return await(ctx, p, ranBefore)
		})
	}
	return all(ctx, parts)
}

// withPrefix selects processes by the beginning of their names.
func (n *Network) withPrefix(prefixes ...string) []*process {
	return slices.DeleteFunc(slices.Clone(n.processes), func(p *process) bool {
		return !hasPrefix(p.name, prefixes)
	})
}

// ledgerServers are the orderers, the peers and their chaincode services.
func (n *Network) ledgerServers() []*process { return n.withPrefix("orderer", "peer-", "chaincode-") }

// bringLedgerUp starts orderers, peers and chaincode services, has them join
// the channel, deploys the chaincode and waits for the gateways.
func (n *Network) bringLedgerUp(ctx context.Context, r *reporting) error {
	rec, err := n.readRecord()
	if err != nil {
		return err
	}
	var lost []*chain
	if rec.Joined {
		if lost, err = n.lostChains(ctx); err != nil {
			return err
		}
	}
	servers := n.ledgerServers()
	anew, hung := n.startAnew(ctx, r, servers, r.step(StepServers, len(servers)))
	if hung != nil && codes.Of(hung) != processHangs {
		return hung
	}
	if err := n.rejoin(ctx, r, lost); err != nil {
		return err
	}
	if hung != nil {
		return hung // what follows needs every server
	}
	if !rec.Joined {
		if err := n.join(ctx, r); err != nil {
			return err
		}
		rec.Joined = true
		if err := n.writeRecord(rec); err != nil {
			return err
		}
	}
	if wanted := digest(n.definition(0), n.consortium.whoSeesWhat().Generate()); rec.Definition != wanted {
		done := r.step(StepChaincode, 1)
		if rec.Sequence, err = n.deploy(ctx); err != nil {
			return err
		}
		rec.Definition, rec.Ready = wanted, false
		if err := n.writeRecord(rec); err != nil {
			return err
		}
		done()
	}
	if rec.Ready && !anew {
		return nil
	}
	if err := n.awaitGateways(ctx, r); err != nil {
		return err
	}
	rec.Ready = true
	return n.writeRecord(rec)
}

// join has orderers and peers join the channel and the peers install the package.
func (n *Network) join(ctx context.Context, r *reporting) error {
	done := r.step(StepChannel, len(n.orderers)+len(n.peers))
	group, groupCtx := errgroup.WithContext(ctx)
	for _, o := range n.orderers {
		group.Go(func() error {
			defer done()
			return n.joinOrderer(groupCtx, o)
		})
	}
	for _, p := range n.peers {
		group.Go(func() error {
			defer done()
			if err := n.joinPeer(groupCtx, p); err != nil {
				return err
			}
			return n.install(groupCtx, p)
		})
	}
	return group.Wait()
}

func (n *Network) awaitGateways(ctx context.Context, r *reporting) error {
	done := r.step(StepGateways, len(n.peers))
	group, groupCtx := errgroup.WithContext(ctx)
	for _, p := range n.peers {
		group.Go(func() error {
			defer done()
			return n.awaitGateway(groupCtx, p)
		})
	}
	return group.Wait()
}

// bringAuthoritiesUp starts the Fabric CAs and enrols the consortium's identities.
func (n *Network) bringAuthoritiesUp(ctx context.Context, r *reporting) error {
	servers := n.withPrefix("ca-")
	identities := 0
	for _, o := range n.consortium.Organisations {
		identities += len(o.Identities)
	}
	done := r.step(StepAuthorities, len(servers)+identities)
	if _, err := n.startAnew(ctx, r, servers, done); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, o := range n.consortium.Organisations {
		group.Go(func() error {
			for _, identity := range o.Identities {
				if _, err := n.Enrol(groupCtx, o.Name, identity.Name, string(identity.Role)); err != nil {
					return err
				}
				done()
			}
			return nil
		})
	}
	return group.Wait()
}

// bringSwarmsUp starts the IPFS nodes and waits until each swarm is a full mesh.
func (n *Network) bringSwarmsUp(ctx context.Context, r *reporting) error {
	servers := n.withPrefix("ipfs-")
	if len(servers) == 0 {
		return nil
	}
	done := r.step(StepIPFS, 2*len(servers))
	var losses []Loss
	for _, s := range n.swarms {
		lost, err := n.healSwarm(ctx, s)
		if err != nil {
			return err
		}
		losses = append(losses, lost...)
	}
	if _, err := n.startAnew(ctx, r, servers, done); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, s := range n.swarms {
		for k := range s.nodes {
			group.Go(func() error {
				defer done()
				return n.awaitMesh(groupCtx, s, k)
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, loss := range losses {
		r.lost(loss)
	}
	return nil
}
