package network

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	commonpb "github.com/hyperledger/fabric-protos-go-apiv2/common"
	msppb "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/medfed/medfed/chaincode/codes"
)

// revocations is the lock of what changes who is revoked: two changes of the
// channel's configuration at once would meet.
const revocations = "revocations"

// Revoke ends an identity for good: the organisation's Fabric CA revokes every
// certificate it has issued to that name and issues no more, and the CA's new
// revocation list becomes part of the organisation's MSP in the channel's
// configuration, signed by the organisation's administrator, as the channel asks.
// It returns when every peer has that configuration; from then on none accepts
// the identity. Its MSP folder keeps the certificate under "revoked" instead of
// "signcerts". Repeating it is safe. The network must be up.
//
// Codes: MF-NETWORK-UNKNOWN (no such organisation), MF-NETWORK-IDENTITY (its name
// is not known to the CA), MF-NETWORK-DOWN (the CA does not answer),
// MF-NETWORK-TOOL, MF-NETWORK-CHANNEL (the channel's configuration can't be
// changed), MF-NETWORK-STATE.
func (n *Network) Revoke(ctx context.Context, org, name string) error {
	a, err := n.authority(org)
	if err != nil {
		return err
	}
	if !personPattern.MatchString(name) || name == registrar {
		return codes.Errorf("MF-NETWORK-IDENTITY", "identity %q can't be revoked; name one that %s has enrolled", name, org)
	}
	unlock, err := n.lock(ctx, revocations)
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.awaitAuthority(ctx, a); err != nil {
		return err
	}
	list, err := n.revokeAtAuthority(ctx, a, name)
	if err != nil {
		return err
	}
	if err := n.publishRevocations(ctx, a.Organisation, list); err != nil {
		return err
	}
	return n.retire(n.IdentityDir(org, name))
}

// revokeAtAuthority has a Fabric CA revoke a name and gives the CA's revocation
// list, PEM.
func (n *Network) revokeAtAuthority(ctx context.Context, a *authority, name string) ([]byte, error) {
	if err := n.enrolRegistrar(ctx, a); err != nil {
		return nil, err
	}
	env := []string{"FABRIC_CA_CLIENT_URL=https://" + a.Address}
	if err := n.caClient(ctx, a, env, "revoke", "--mspdir", n.registrarDir(a), "--revoke.name", name); err != nil {
		return nil, codes.Wrapf("MF-NETWORK-IDENTITY", "%s of %s can't be revoked (%w); see that the name is enrolled there", name, a.Organisation.Name, err)
	}
	// Revoking can give a list too, but an empty one when nothing was left to revoke.
	if err := n.caClient(ctx, a, env, "gencrl", "--mspdir", n.registrarDir(a)); err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(n.registrarDir(a), "crls", "crl.pem"))
	if err != nil {
		return nil, n.stateError(err)
	}
	return list, nil
}

// retire takes an identity's certificate out of use.
func (n *Network) retire(mspDir string) error {
	certs, revoked := filepath.Join(mspDir, "signcerts"), filepath.Join(mspDir, "revoked")
	if _, err := os.Stat(certs); err != nil {
		return nil // enrolled elsewhere, or retired before
	}
	if err := os.RemoveAll(revoked); err != nil {
		return n.stateError(err)
	}
	if err := os.Rename(certs, revoked); err != nil {
		return n.stateError(err)
	}
	return nil
}

// publishRevocations makes a revocation list the one of an organisation's MSP and
// waits until every peer has it. An organisation has one CA, and each of its
// lists holds all that came before.
func (n *Network) publishRevocations(ctx context.Context, o *Organisation, list []byte) error {
	change := func(m *msppb.FabricMSPConfig) bool {
		if len(m.GetRevocationList()) == 1 && bytes.Equal(m.GetRevocationList()[0], list) {
			return false
		}
		m.RevocationList = [][]byte{list}
		return true
	}
	if err := n.changeMSP(ctx, o, change); err != nil {
		return err
	}
	for _, p := range n.peers {
		if err := n.awaitMSP(ctx, p, o, change); err != nil {
			return err
		}
	}
	return nil
}

// changeMSP changes an organisation's MSP in the channel's configuration. The
// change reports whether it was needed; one that has come in between is looked at
// again.
func (n *Network) changeMSP(ctx context.Context, o *Organisation, change func(*msppb.FabricMSPConfig) bool) error {
	var refused error
	for range lifecycleTries {
		leader := n.leader(ctx)
		config, err := n.channelConfiguration(ctx, n.peers[0], "-o", leader.Address, "--tls", "--cafile", leader.TLS.CA)
		if err != nil {
			return err
		}
		update, err := n.mspUpdate(config, o, change)
		if err != nil || update == nil {
			return err
		}
		if refused = n.updateChannel(ctx, o, leader, update); ctx.Err() != nil {
			break
		}
		if refused == nil {
			return nil
		}
	}
	return codes.Wrapf("MF-NETWORK-CHANNEL", "the MSP of %s can't be changed (%w); see that most orderers run, and try again", o.Name, refused)
}

// channelConfiguration fetches the channel's configuration from a peer, or from
// the orderer that the flags name.
func (n *Network) channelConfiguration(ctx context.Context, p *peer, from ...string) (*commonpb.Config, error) {
	dir, err := os.MkdirTemp(n.path("channel"), ".config-*")
	if err != nil {
		return nil, n.stateError(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "config.block")
	if _, err := n.asAdmin(ctx, p, append([]string{"channel", "fetch", "config", file, "-c", n.consortium.Channel}, from...)...); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, n.stateError(err)
	}
	config, err := configurationOf(raw)
	if err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CHANNEL", "the configuration of channel %s can't be read (%w); report this", n.consortium.Channel, err)
	}
	return config, nil
}

// configurationOf is the configuration in a configuration block.
func configurationOf(raw []byte) (*commonpb.Config, error) {
	var block commonpb.Block
	var envelope commonpb.Envelope
	var payload commonpb.Payload
	var configuration commonpb.ConfigEnvelope
	if err := proto.Unmarshal(raw, &block); err != nil {
		return nil, err
	}
	for _, data := range block.GetData().GetData() { // a configuration block holds one transaction
		if err := proto.Unmarshal(data, &envelope); err != nil {
			return nil, err
		}
	}
	if err := proto.Unmarshal(envelope.GetPayload(), &payload); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(payload.GetData(), &configuration); err != nil {
		return nil, err
	}
	return configuration.GetConfig(), nil
}

// Names of groups and values in a channel's configuration.
const (
	applicationGroup = "Application"
	mspKey           = "MSP"
)

// mspUpdate is the update that changes an organisation's MSP, nil when there is
// nothing to change. It names the version of every group it passes through, so
// that it is refused where another change has come in between.
func (n *Network) mspUpdate(config *commonpb.Config, o *Organisation, change func(*msppb.FabricMSPConfig) bool) ([]byte, error) {
	channel := config.GetChannelGroup()
	application := channel.GetGroups()[applicationGroup]
	organisation := application.GetGroups()[o.MSP]
	value := organisation.GetValues()[mspKey]
	changed, err := changedMSP(value.GetValue(), change)
	if err != nil {
		return nil, codes.Wrapf("MF-NETWORK-CHANNEL", "the MSP of %s in the channel's configuration can't be read (%w); report this", o.Name, err)
	}
	if changed == nil {
		return nil, nil
	}
	path := func(values map[string]*commonpb.ConfigValue) *commonpb.ConfigGroup {
		return &commonpb.ConfigGroup{Version: channel.GetVersion(), Groups: map[string]*commonpb.ConfigGroup{
			applicationGroup: {Version: application.GetVersion(), Groups: map[string]*commonpb.ConfigGroup{
				o.MSP: {Version: organisation.GetVersion(), Values: values},
			}},
		}}
	}
	return proto.Marshal(&commonpb.ConfigUpdate{
		ChannelId: n.consortium.Channel,
		ReadSet:   path(nil),
		WriteSet: path(map[string]*commonpb.ConfigValue{
			mspKey: {Version: value.GetVersion() + 1, Value: changed, ModPolicy: value.GetModPolicy()},
		}),
	})
}

// changedMSP is an MSP's definition after a change, nil when there was nothing to
// change.
func changedMSP(definition []byte, change func(*msppb.FabricMSPConfig) bool) ([]byte, error) {
	var wrapped msppb.MSPConfig
	var msp msppb.FabricMSPConfig
	if err := proto.Unmarshal(definition, &wrapped); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(wrapped.GetConfig(), &msp); err != nil || !change(&msp) {
		return nil, err
	}
	config, err := proto.Marshal(&msp)
	if err != nil {
		return nil, err
	}
	wrapped.Config = config
	return proto.Marshal(&wrapped)
}

// updateChannel signs an update as an organisation's administrator and sends it
// to an orderer.
func (n *Network) updateChannel(ctx context.Context, o *Organisation, to *orderer, update []byte) error {
	raw, err := updateEnvelope(n.consortium.Channel, update)
	if err != nil {
		return err
	}
	file := n.path("channel", "."+o.Name+"-update.tx")
	if err := writeFile(file, raw, 0o600); err != nil {
		return n.stateError(err)
	}
	defer os.Remove(file)
	_, err = n.asAdminOf(ctx, o, n.peers[0], "channel", "update", "-f", file, "-c", n.consortium.Channel,
		"-o", to.Address, "--tls", "--cafile", to.TLS.CA)
	return err
}

// updateEnvelope wraps an update as the peer's command line takes it, which signs it.
func updateEnvelope(channel string, update []byte) ([]byte, error) {
	header, err := proto.Marshal(&commonpb.ChannelHeader{ChannelId: channel, Type: int32(commonpb.HeaderType_CONFIG_UPDATE)})
	if err != nil {
		return nil, err
	}
	data, err := proto.Marshal(&commonpb.ConfigUpdateEnvelope{ConfigUpdate: update})
	if err != nil {
		return nil, err
	}
	payload, err := proto.Marshal(&commonpb.Payload{Header: &commonpb.Header{ChannelHeader: header}, Data: data})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&commonpb.Envelope{Payload: payload})
}

// awaitMSP returns when a peer's configuration of an organisation's MSP needs a
// change no more. It asks through the peer's command line, which takes a moment.
func (n *Network) awaitMSP(ctx context.Context, p *peer, o *Organisation, change func(*msppb.FabricMSPConfig) bool) error {
	limited, cancel := context.WithTimeout(ctx, n.consortium.Timeouts.Ready)
	defer cancel()
	err := poll(limited, func() (bool, error) {
		config, err := n.channelConfiguration(limited, p)
		if err != nil {
			return false, nil
		}
		update, err := n.mspUpdate(config, o, change)
		return update == nil, err
	})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return codes.Errorf("MF-NETWORK-CHANNEL", "%s has not the new MSP of %s after %s; see %s", p.Name, o.Name, n.consortium.Timeouts.Ready.Round(time.Second), n.logFile(p.Name))
	}
	return err
}
