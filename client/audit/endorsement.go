package audit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer/lifecycle"
	"google.golang.org/protobuf/proto"
)

const (
	// lifecycleNamespace holds the definitions of the channel's chaincodes.
	lifecycleNamespace = "_lifecycle"
	// lifecyclePolicy is who must endorse a change of them.
	lifecyclePolicy = "/Channel/Application/LifecycleEndorsement"
	// implicitPrefix begins the name of the collection that every organisation
	// has of its own.
	implicitPrefix = "_implicit_org_"
	// usualPlugin is the one way of validation that Fabric comes with.
	usualPlugin = "vscc"
)

// errUndefined says that the channel has no chaincode of a name.
var errUndefined = errors.New("the channel has no such chaincode")

// definition is what the channel's members agreed on for a chaincode.
type definition struct {
	plugin      string
	policy      []byte // serialised ApplicationPolicy
	collections *peer.CollectionConfigPackage
}

// definitionOf reads a chaincode's definition from the state: what was committed
// in _lifecycle.
func definitionOf(s *state, c *channel, chaincode string) (*definition, error) {
	if chaincode == lifecycleNamespace {
		return lifecycleDefinition(c)
	}
	metadata := &lifecycle.StateMetadata{}
	if !s.read(lifecycleNamespace, "namespaces/metadata/"+chaincode, metadata) || metadata.GetDatatype() != "ChaincodeDefinition" {
		return nil, errUndefined
	}
	validation, collections := &lifecycle.ChaincodeValidationInfo{}, &peer.CollectionConfigPackage{}
	for field, into := range map[string]proto.Message{"ValidationInfo": validation, "Collections": collections} {
		data := &lifecycle.StateData{}
		if !s.read(lifecycleNamespace, "namespaces/fields/"+chaincode+"/"+field, data) {
			continue
		}
		if err := proto.Unmarshal(data.GetBytes(), into); err != nil {
			return nil, fmt.Errorf("the definition of %s can't be read: %w", chaincode, err)
		}
	}
	if validation.GetValidationPlugin() == "" || len(validation.GetValidationParameter()) == 0 {
		return nil, errUndefined
	}
	return &definition{validation.ValidationPlugin, validation.ValidationParameter, collections}, nil
}

// lifecycleDefinition is that of _lifecycle itself, which is in the channel's
// configuration.
func lifecycleDefinition(c *channel) (*definition, error) {
	if _, _, ok := c.policyAt(lifecyclePolicy); !ok {
		return nil, fmt.Errorf("the channel has no policy %s", lifecyclePolicy)
	}
	policy, err := proto.Marshal(referTo(lifecyclePolicy))
	return &definition{plugin: usualPlugin, policy: policy}, err
}

func referTo(path string) *peer.ApplicationPolicy {
	return &peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_ChannelConfigPolicyReference{ChannelConfigPolicyReference: path}}
}

// collectionPolicy is the serialised policy of who must endorse a write to a
// collection: its own, or the chaincode's.
func (d *definition) collectionPolicy(c *channel, collection string) ([]byte, error) {
	if mspID, ok := strings.CutPrefix(collection, implicitPrefix); ok {
		return implicitPolicy(c, mspID)
	}
	for _, config := range d.collections.GetConfig() {
		static := config.GetStaticCollectionConfig()
		if static.GetName() != collection {
			continue
		}
		if static.GetEndorsementPolicy() == nil {
			return d.policy, nil
		}
		return proto.Marshal(static.EndorsementPolicy)
	}
	return nil, fmt.Errorf("the chaincode has no collection %s", collection)
}

// implicitPolicy is that of an organisation's own collection: the organisation's
// policy for endorsements, or any of its members.
func implicitPolicy(c *channel, mspID string) ([]byte, error) {
	group, ok := c.applicationGroupOf(mspID)
	if !ok {
		return nil, fmt.Errorf("%s is no organisation of the channel", mspID)
	}
	path := "/" + channelGroup + "/" + applicationGroup + "/" + group + "/Endorsement"
	if _, _, ok := c.policyAt(path); ok {
		return proto.Marshal(referTo(path))
	}
	role, err := proto.Marshal(&msp.MSPRole{MspIdentifier: mspID, Role: msp.MSPRole_MEMBER})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&peer.ApplicationPolicy{Type: &peer.ApplicationPolicy_SignaturePolicy{SignaturePolicy: &common.SignaturePolicyEnvelope{
		Rule:       &common.SignaturePolicy{Type: &common.SignaturePolicy_SignedBy{SignedBy: 0}},
		Identities: []*msp.MSPPrincipal{{PrincipalClassification: msp.MSPPrincipal_ROLE, Principal: role}},
	}}})
}

// endorsers are those whose certificate and signature of the response are good,
// each once.
func (tx *transaction) endorsers(c *channel) []*identity {
	var good []*identity
	seen := map[string]bool{}
	for _, e := range tx.endorsements {
		id, err := c.identify(e.GetEndorser())
		if err != nil || seen[id.key()] {
			continue
		}
		message := append(append([]byte{}, tx.response...), e.Endorser...)
		if id.verify(message, e.GetSignature()) != nil {
			continue
		}
		seen[id.key()] = true
		good = append(good, id)
	}
	return good
}

// checkEndorsements decides whether the endorsers satisfy the policies of every
// namespace that a transaction writes to, and of its chaincode's, all by the
// definitions before the block.
func (tx *transaction) checkEndorsements(s *state, c *channel, endorsers []*identity) *rejection {
	namespaces := map[string]*namespaceSet{tx.chaincode: {name: tx.chaincode}}
	for _, set := range tx.sets {
		if set.name == tx.chaincode || set.writes() {
			namespaces[set.name] = set
		}
	}
	for name, set := range namespaces {
		d, err := definitionOf(s, c, name)
		if err != nil {
			return rejectf(peer.TxValidationCode_INVALID_CHAINCODE, "%s: %w", name, err)
		}
		if d.plugin != usualPlugin {
			return rejectf(peer.TxValidationCode_INVALID_CHAINCODE, "%s is validated by the plugin %q", name, d.plugin)
		}
		if err := set.checkPolicies(d, c, endorsers); err != nil {
			return rejectf(peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE, "%s: %w", name, err)
		}
	}
	return nil
}

// checkPolicies evaluates the policy of every collection that is written to, and
// the chaincode's when its public documents are, or nothing is.
func (s *namespaceSet) checkPolicies(d *definition, c *channel, endorsers []*identity) error {
	checked := false
	if s.public != nil && len(s.public.Writes) > 0 {
		if err := c.checkApplication(d.policy, endorsers); err != nil {
			return err
		}
		checked = true
	}
	for _, collection := range s.collections {
		if len(collection.hashed.HashedWrites) == 0 {
			continue
		}
		policy, err := d.collectionPolicy(c, collection.name)
		if err != nil {
			return err
		}
		if err := c.checkApplication(policy, endorsers); err != nil {
			return fmt.Errorf("collection %s: %w", collection.name, err)
		}
		checked = true
	}
	if checked {
		return nil
	}
	return c.checkApplication(d.policy, endorsers)
}
