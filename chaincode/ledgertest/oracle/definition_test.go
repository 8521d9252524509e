package oracle

import (
	"fmt"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	pb "github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/core/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"google.golang.org/protobuf/proto"
)

// definition stands in for the lifecycle: it says which collections the
// chaincode has.
type definition struct {
	policy      *common.SignaturePolicyEnvelope
	collections []*pb.StaticCollectionConfig
}

func newDefinition(t testing.TB, policy ledgertest.Policy, collections ...ledgertest.Collection) *definition {
	d := &definition{policy: envelope(t, policy)}
	for _, c := range collections {
		config := &pb.StaticCollectionConfig{
			Name: c.Name, BlockToLive: c.BlockToLive, MemberOnlyRead: c.MemberOnlyRead, MemberOnlyWrite: c.MemberOnlyWrite,
			MemberOrgsPolicy: &pb.CollectionPolicyConfig{Payload: &pb.CollectionPolicyConfig_SignaturePolicy{SignaturePolicy: envelope(t, c.Members)}},
		}
		if !c.Endorsement.IsZero() {
			config.EndorsementPolicy = &pb.ApplicationPolicy{Type: &pb.ApplicationPolicy_SignaturePolicy{SignaturePolicy: envelope(t, c.Endorsement)}}
		}
		d.collections = append(d.collections, config)
	}
	return d
}

func envelope(t testing.TB, policy ledgertest.Policy) *common.SignaturePolicyEnvelope {
	e := &common.SignaturePolicyEnvelope{}
	if err := proto.Unmarshal(policy.Bytes(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (d *definition) pkg() *pb.CollectionConfigPackage {
	pkg := &pb.CollectionConfigPackage{}
	for _, c := range d.collections {
		pkg.Config = append(pkg.Config, &pb.CollectionConfig{Payload: &pb.CollectionConfig_StaticCollectionConfig{StaticCollectionConfig: c}})
	}
	return pkg
}

func (d *definition) collection(name string) *pb.StaticCollectionConfig {
	for _, c := range d.collections {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (d *definition) Namespaces() []string { return nil }

func (d *definition) UpdatedChaincodes(map[string][]*kvrwset.KVWrite) ([]*ledger.ChaincodeLifecycleInfo, error) {
	return nil, nil
}

func (d *definition) ChaincodeInfo(_, name string, _ ledger.SimpleQueryExecutor) (*ledger.DeployedChaincodeInfo, error) {
	return &ledger.DeployedChaincodeInfo{Name: name, ExplicitCollectionConfigPkg: d.pkg()}, nil
}

func (d *definition) AllChaincodesInfo(string, ledger.SimpleQueryExecutor) (map[string]*ledger.DeployedChaincodeInfo, error) {
	return nil, nil
}

func (d *definition) CollectionInfo(_, _, name string, _ ledger.SimpleQueryExecutor) (*pb.StaticCollectionConfig, error) {
	return d.collection(name), nil
}

func (d *definition) ImplicitCollections(string, string, ledger.SimpleQueryExecutor) ([]*pb.StaticCollectionConfig, error) {
	return nil, nil
}

func (d *definition) GenerateImplicitCollectionForOrg(string) *pb.StaticCollectionConfig { return nil }

func (d *definition) AllCollectionsConfigPkg(string, string, ledger.SimpleQueryExecutor) (*pb.CollectionConfigPackage, error) {
	return d.pkg(), nil
}

func (d *definition) RegisterListener(string, ledger.ChaincodeLifecycleEventListener, bool) error {
	return nil
}

// CollectionValidationInfo gives the validator a collection's endorsement policy.
func (d *definition) endorsementPolicy(name string) ([]byte, error) {
	c := d.collection(name)
	if c == nil {
		return nil, fmt.Errorf("no such collection %s", name)
	}
	if c.EndorsementPolicy == nil {
		return nil, nil
	}
	return proto.Marshal(c.EndorsementPolicy)
}

// genesisBlock is the least that Fabric's ledger begins with.
func genesisBlock(t testing.TB) *common.Block {
	must := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	header := &common.Header{
		ChannelHeader:   must(&common.ChannelHeader{Type: int32(common.HeaderType_CONFIG), ChannelId: channel}),
		SignatureHeader: must(&common.SignatureHeader{Creator: must(&msp.SerializedIdentity{})}),
	}
	envelope := must(&common.Envelope{Payload: must(&common.Payload{Header: header, Data: must(&common.ConfigEnvelope{})})})
	return &common.Block{
		Header: &common.BlockHeader{}, Data: &common.BlockData{Data: [][]byte{envelope}},
		Metadata: &common.BlockMetadata{Metadata: [][]byte{{}, {}, {0}, {}, {}}},
	}
}
