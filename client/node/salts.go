package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// The purposes of a node's salts.
const (
	beaconSalt = "beacon" // opens what the node committed to when it joined; round 0
	scoreSalt  = "score"  // seals its scores of a round
)

// salt is 32 bytes, in hexadecimal, that only this node can know and that it can
// always make again.
func (n *Node) salt(purpose string, round int) string {
	return n.derive("salt", purpose, n.Task, strconv.Itoa(round))
}

// noise is what sampling and noise of a private training are drawn from in a round:
// another secret, which no salt that is revealed tells anything of. It is made of the
// key and not drawn anew, so that a node that was killed after its weights left it
// trains to the same ones: with other noise they would tell of the data twice, and be
// charged once. Whoever gets the key can take the noise away.
func (n *Node) noise(round int) []byte {
	return n.mac("noise", n.Task, strconv.Itoa(round))
}

func (n *Node) derive(secret string, fields ...string) string {
	return hex.EncodeToString(n.mac(secret, fields...))
}

// mac is HMAC-SHA256 of the fields and this node's ID under a secret of its
// identity. Each field goes in with its length, so that no two sets of fields are
// one.
func (n *Node) mac(secret string, fields ...string) []byte {
	mac := hmac.New(sha256.New, n.Identity.Secret(secret))
	for _, field := range append(fields, n.ID) {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(field))))
		mac.Write([]byte(field))
	}
	return mac.Sum(nil)
}

// trainingSeed mixes the task's seed with round and node, so that nodes and
// rounds shuffle differently and a round trained again gives the same bytes.
func trainingSeed(seed int64, round int, node string) int64 {
	mixed := binary.BigEndian.AppendUint64(nil, uint64(seed))
	mixed = binary.BigEndian.AppendUint64(mixed, uint64(round))
	sum := sha256.Sum256(append(mixed, node...))
	return int64(binary.BigEndian.Uint64(sum[:]) >> 1)
}
