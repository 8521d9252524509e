package oracle

import (
	"errors"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	mspproto "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	pb "github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/common/cauthdsl"
	vs "github.com/hyperledger/fabric/core/handlers/validation/api/state"
	v20 "github.com/hyperledger/fabric/core/handlers/validation/builtin/v20"
	"github.com/hyperledger/fabric/msp"
	"github.com/hyperledger/fabric/protoutil"
	"google.golang.org/protobuf/proto"

	"encoding/pem"

	"crypto/x509"
)

// policyRules is Fabric's own decision on endorsement policies: of chaincode,
// collection and key. Only the verification of signatures is left out.
type policyRules struct {
	peer      *realPeer
	validator *v20.Validator
	chaincode []byte
	d         *definition
}

func newPolicyRules(p *realPeer, d *definition) *policyRules {
	r := &policyRules{peer: p, d: d}
	var err error
	r.chaincode, err = proto.Marshal(&pb.ApplicationPolicy{Type: &pb.ApplicationPolicy_SignaturePolicy{SignaturePolicy: d.policy}})
	p.must(err)
	r.validator = v20.New(nil, r, nil, r, r)
	return r
}

// failures tells which transactions of a block fail their policies.
func (r *policyRules) failures(b *common.Block) []bool {
	failed := make([]bool, len(b.Data.Data))
	for i := range b.Data.Data {
		failed[i] = r.validator.Validate(b, chaincodeName, i, 0, r.chaincode) != nil
	}
	return failed
}

func (r *policyRules) Evaluate(policy []byte, signatures []*protoutil.SignedData) error {
	application := &pb.ApplicationPolicy{}
	if err := proto.Unmarshal(policy, application); err != nil {
		return err
	}
	provider := &cauthdsl.EnvelopeBasedPolicyProvider{Deserializer: deserializer{}}
	p, err := provider.NewPolicy(application.GetSignaturePolicy())
	if err != nil {
		return err
	}
	var identities []msp.Identity
	seen := map[string]bool{}
	for _, s := range signatures {
		if seen[string(s.Identity)] {
			continue
		}
		seen[string(s.Identity)] = true
		id, err := deserializer{}.DeserializeIdentity(s.Identity)
		if err != nil {
			return err
		}
		identities = append(identities, id)
	}
	return p.EvaluateIdentities(identities)
}

func (r *policyRules) CollectionValidationInfo(_, collection string, _ vs.State) ([]byte, error, error) {
	policy, err := r.d.endorsementPolicy(collection)
	return policy, nil, err
}

func (r *policyRules) FetchState() (vs.State, error) {
	executor, err := r.peer.ledger.NewQueryExecutor()
	return validationState{executor}, err
}

type validationState struct {
	executor interface {
		GetStateMultipleKeys(string, []string) ([][]byte, error)
		GetStateMetadata(string, string) (map[string][]byte, error)
		GetPrivateDataMetadataByHash(string, string, []byte) (map[string][]byte, error)
		Done()
	}
}

func (s validationState) GetStateMultipleKeys(ns string, keys []string) ([][]byte, error) {
	return s.executor.GetStateMultipleKeys(ns, keys)
}

func (s validationState) GetStateRangeScanIterator(string, string, string) (vs.ResultsIterator, error) {
	return nil, errors.New("not asked for by the validator")
}

func (s validationState) GetStateMetadata(ns, key string) (map[string][]byte, error) {
	return s.executor.GetStateMetadata(ns, key)
}

func (s validationState) GetPrivateDataMetadataByHash(ns, coll string, hash []byte) (map[string][]byte, error) {
	return s.executor.GetPrivateDataMetadataByHash(ns, coll, hash)
}

func (s validationState) Done() { s.executor.Done() }

// deserializer knows identities by what their certificates say; nobody's
// signature is checked.
type deserializer struct{}

func (deserializer) DeserializeIdentity(serialized []byte) (msp.Identity, error) {
	id := &mspproto.SerializedIdentity{}
	if err := proto.Unmarshal(serialized, id); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(id.IdBytes)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return identity{msp: id.Mspid, unit: certificate.Subject.OrganizationalUnit[0], serialized: serialized}, nil
}

func (deserializer) IsWellFormed(*mspproto.SerializedIdentity) error { return nil }

type identity struct {
	msp, unit  string
	serialized []byte
}

func (i identity) ExpiresAt() time.Time { return time.Time{} }
func (i identity) GetIdentifier() *msp.IdentityIdentifier {
	return &msp.IdentityIdentifier{Mspid: i.msp, Id: string(i.serialized)}
}
func (i identity) GetMSPIdentifier() string                    { return i.msp }
func (i identity) Validate() error                             { return nil }
func (i identity) GetOrganizationalUnits() []*msp.OUIdentifier { return nil }
func (i identity) Anonymous() bool                             { return false }
func (i identity) Verify([]byte, []byte) error                 { return nil }
func (i identity) Serialize() ([]byte, error)                  { return i.serialized, nil }

func (i identity) SatisfiesPrincipal(p *mspproto.MSPPrincipal) error {
	role := &mspproto.MSPRole{}
	if err := proto.Unmarshal(p.Principal, role); err != nil {
		return err
	}
	if role.MspIdentifier != i.msp || role.Role != mspproto.MSPRole_MEMBER && strings.ToLower(role.Role.String()) != i.unit {
		return errors.New("another principal")
	}
	return nil
}
