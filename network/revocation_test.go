package network

import (
	"testing"

	commonpb "github.com/hyperledger/fabric-protos-go-apiv2/common"
	msppb "github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// An update changes the one value it is for and names the versions of the groups
// it passes through; with nothing to change there is none.
func TestMSPUpdate(t *testing.T) {
	n, err := Open(loadDefault(t), t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	msp := marshal(t, &msppb.MSPConfig{Config: marshal(t, &msppb.FabricMSPConfig{Name: "Hospital1MSP"})})
	config := &commonpb.Config{ChannelGroup: &commonpb.ConfigGroup{Version: 1, Groups: map[string]*commonpb.ConfigGroup{
		"Application": {Version: 2, Groups: map[string]*commonpb.ConfigGroup{
			"Hospital1MSP": {Version: 3, Values: map[string]*commonpb.ConfigValue{"MSP": {Version: 4, Value: msp, ModPolicy: "Admins"}, "AnchorPeers": {}}},
			"Hospital2MSP": {Version: 5},
		}},
	}}}
	o := &n.consortium.Organisations[0]
	none, err := n.mspUpdate(config, o, func(*msppb.FabricMSPConfig) bool { return false })
	if none != nil || err != nil {
		t.Errorf("%x, %v", none, err)
	}
	raw, err := n.mspUpdate(config, o, func(m *msppb.FabricMSPConfig) bool {
		m.RevocationList = [][]byte{[]byte("list")}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	var update commonpb.ConfigUpdate
	unmarshal(t, raw, &update)
	changed := marshal(t, &msppb.MSPConfig{Config: marshal(t, &msppb.FabricMSPConfig{Name: "Hospital1MSP", RevocationList: [][]byte{[]byte("list")}})})
	group := func(values map[string]*commonpb.ConfigValue) *commonpb.ConfigGroup {
		return &commonpb.ConfigGroup{Version: 1, Groups: map[string]*commonpb.ConfigGroup{
			"Application": {Version: 2, Groups: map[string]*commonpb.ConfigGroup{"Hospital1MSP": {Version: 3, Values: values}}},
		}}
	}
	want := &commonpb.ConfigUpdate{ChannelId: n.consortium.Channel, ReadSet: group(nil), WriteSet: group(map[string]*commonpb.ConfigValue{
		"MSP": {Version: 5, Value: changed, ModPolicy: "Admins"},
	})}
	if !proto.Equal(&update, want) {
		t.Errorf("%v, want %v", &update, want)
	}
	config.ChannelGroup.Groups["Application"].Groups["Hospital1MSP"].Values["MSP"].Value = []byte{0xff}
	_, err = n.mspUpdate(config, o, func(*msppb.FabricMSPConfig) bool { return true })
	hasCode(t, err, "MF-NETWORK-CHANNEL", "hospital1")
}
