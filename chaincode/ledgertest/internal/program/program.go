// Package program is a chaincode that tests can write as text: it interprets its
// arguments, one operation each. The tests of ledgertest and those that compare
// it with Fabric's own ledger run the same programs.
package program

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// Chaincode interprets its arguments and answers what they read, a line each.
// "-" stands for an empty string.
type Chaincode struct{}

// Init does nothing.
func (Chaincode) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

// Invoke runs the program that the arguments are.
func (Chaincode) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	var out []string
	for _, line := range stub.GetStringArgs() {
		words := strings.Fields(line)
		for i, w := range words {
			if w == "-" {
				words[i] = ""
			}
		}
		read, err := operations[words[0]](stub, words[1:])
		if err != nil {
			return shim.Error(err.Error())
		}
		if read != "" {
			out = append(out, read)
		}
	}
	return shim.Success([]byte(strings.Join(out, "\n")))
}

type stub = shim.ChaincodeStubInterface

var operations = map[string]func(s stub, a []string) (string, error){
	"get":    func(s stub, a []string) (string, error) { return read(a[0])(s.GetState(a[0])) },
	"put":    func(s stub, a []string) (string, error) { return "", s.PutState(a[0], []byte(a[1])) },
	"del":    func(s stub, a []string) (string, error) { return "", s.DelState(a[0]) },
	"copy":   copyKey,
	"fail":   func(_ stub, a []string) (string, error) { return "", fmt.Errorf("%s", strings.Join(a, " ")) },
	"event":  func(s stub, a []string) (string, error) { return "", s.SetEvent(a[0], []byte(a[1])) },
	"begin":  func(s stub, _ []string) (string, error) { s.StartWriteBatch(); return "", nil },
	"finish": func(s stub, _ []string) (string, error) { return "", s.FinishWriteBatch() },
	"range":  func(s stub, a []string) (string, error) { return all(s.GetStateByRange(a[0], a[1])) },
	"first":  first,
	"count":  count,
	"page":   page,
	"rich":   func(s stub, a []string) (string, error) { return all(s.GetQueryResult(a[0])) },
	"cput": func(s stub, a []string) (string, error) {
		key, err := s.CreateCompositeKey(a[0], a[1:len(a)-1])
		if err != nil {
			return "", err
		}
		return "", s.PutState(key, []byte(a[len(a)-1]))
	},
	"crange":  func(s stub, a []string) (string, error) { return all(s.GetStateByPartialCompositeKey(a[0], a[1:])) },
	"history": history,
	"policy": func(s stub, a []string) (string, error) {
		return "", s.SetStateValidationParameter(a[0], policyBytes(a[1:]))
	},
	"newpolicy": func(s stub, a []string) (string, error) {
		if _, err := s.GetState(a[0]); err != nil {
			return "", err
		}
		return "", s.SetStateValidationParameter(a[0], policyBytes(a[1:]))
	},
	"policyof": func(s stub, a []string) (string, error) {
		ep, err := s.GetStateValidationParameter(a[0])
		return fmt.Sprintf("policy %s %x", a[0], ep), err
	},

	"pget":  func(s stub, a []string) (string, error) { return read(a[1])(s.GetPrivateData(a[0], a[1])) },
	"phash": func(s stub, a []string) (string, error) { return readHash(a[1])(s.GetPrivateDataHash(a[0], a[1])) },
	"pput":  func(s stub, a []string) (string, error) { return "", s.PutPrivateData(a[0], a[1], []byte(a[2])) },
	"pdel":  func(s stub, a []string) (string, error) { return "", s.DelPrivateData(a[0], a[1]) },
	"purge": func(s stub, a []string) (string, error) { return "", s.PurgePrivateData(a[0], a[1]) },
	"prange": func(s stub, a []string) (string, error) {
		return all(s.GetPrivateDataByRange(a[0], a[1], a[2]))
	},
	"ppolicy": func(s stub, a []string) (string, error) {
		return "", s.SetPrivateDataValidationParameter(a[0], a[1], policyBytes(a[2:]))
	},
	"pnewpolicy": func(s stub, a []string) (string, error) {
		if _, err := s.GetPrivateDataHash(a[0], a[1]); err != nil {
			return "", err
		}
		return "", s.SetPrivateDataValidationParameter(a[0], a[1], policyBytes(a[2:]))
	},
	"pputtransient": func(s stub, a []string) (string, error) {
		transient, err := s.GetTransient()
		if err != nil {
			return "", err
		}
		return "", s.PutPrivateData(a[0], a[1], transient[a[2]])
	},
	"mget":  func(s stub, a []string) (string, error) { return several(s.GetMultipleStates(a...)) },
	"pmget": func(s stub, a []string) (string, error) { return several(s.GetMultiplePrivateData(a[0], a[1:]...)) },
	"about": about,
	"split": func(s stub, a []string) (string, error) {
		key, err := s.CreateCompositeKey(a[0], a[1:])
		if err != nil {
			return "", err
		}
		kind, attributes, err := s.SplitCompositeKey(key)
		return fmt.Sprintf("%q %q", kind, attributes), err
	},
	"allpage": func(s stub, a []string) (string, error) {
		size, _ := strconv.Atoi(a[0])
		return paged(s.GetAllStatesCompositeKeyWithPagination(int32(size), a[1]))
	},
	"cpage": func(s stub, a []string) (string, error) {
		size, _ := strconv.Atoi(a[1])
		return paged(s.GetStateByPartialCompositeKeyWithPagination(a[0], nil, int32(size), ""))
	},
	"pcrange": func(s stub, a []string) (string, error) {
		return all(s.GetPrivateDataByPartialCompositeKey(a[0], a[1], a[2:]))
	},
	"prich": func(s stub, a []string) (string, error) { return all(s.GetPrivateDataQueryResult(a[0], "{}")) },
	"richpage": func(s stub, _ []string) (string, error) {
		return paged(s.GetQueryResultWithPagination("{}", 1, ""))
	},
	"ppolicyof": func(s stub, a []string) (string, error) {
		ep, err := s.GetPrivateDataValidationParameter(a[0], a[1])
		return fmt.Sprintf("policy %s %x", a[1], ep), err
	},
	"peermsp": func(s stub, a []string) (string, error) { return shim.GetMSPID() },
	"txid":    func(s stub, _ []string) (string, error) { return s.GetTxID(), nil },
}

func read(key string) func([]byte, error) (string, error) {
	return func(value []byte, err error) (string, error) {
		if value == nil {
			return key + " none", err
		}
		return fmt.Sprintf("%s=%s", key, value), err
	}
}

func readHash(key string) func([]byte, error) (string, error) {
	return func(value []byte, err error) (string, error) { return fmt.Sprintf("%s %x", key, value), err }
}

// copyKey writes what it read: the simplest transaction that depends on state.
func copyKey(s stub, a []string) (string, error) {
	value, err := s.GetState(a[0])
	if err != nil {
		return "", err
	}
	return "", s.PutState(a[1], append(value, '+'))
}

func policyBytes(organisations []string) []byte {
	if len(organisations) == 0 {
		return nil
	}
	return ledgertest.OutOf(len(organisations), organisations...).Bytes()
}

func all(it shim.StateQueryIteratorInterface, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer it.Close()
	out := []string{"("}
	for it.HasNext() {
		kv, err := it.Next()
		if err != nil {
			return "", err
		}
		out = append(out, fmt.Sprintf("%s=%s", kv.Key, kv.Value))
	}
	return strings.Join(append(out, ")"), " "), nil
}

// first reads only the first results of a range.
func first(s stub, a []string) (string, error) {
	n, _ := strconv.Atoi(a[2])
	it, err := s.GetStateByRange(a[0], a[1])
	if err != nil {
		return "", err
	}
	defer it.Close()
	out := []string{"first"}
	for ; n > 0 && it.HasNext(); n-- {
		kv, err := it.Next()
		if err != nil {
			return "", err
		}
		out = append(out, kv.Key)
	}
	return strings.Join(out, " "), nil
}

func count(s stub, a []string) (string, error) {
	it, err := s.GetStateByRange(a[0], a[1])
	if err != nil {
		return "", err
	}
	defer it.Close()
	n := 0
	for it.HasNext() {
		if _, err := it.Next(); err != nil {
			return "", err
		}
		n++
	}
	return fmt.Sprintf("count %d", n), nil
}

func page(s stub, a []string) (string, error) {
	size, _ := strconv.Atoi(a[2])
	return paged(s.GetStateByRangeWithPagination(a[0], a[1], int32(size), a[3]))
}

func paged(it shim.StateQueryIteratorInterface, metadata *peer.QueryResponseMetadata, err error) (string, error) {
	if err != nil {
		return "", err
	}
	results, err := all(it, nil)
	return fmt.Sprintf("%s fetched %d bookmark %q", results, metadata.FetchedRecordsCount, metadata.Bookmark), err
}

func history(s stub, a []string) (string, error) {
	it, err := s.GetHistoryForKey(a[0])
	if err != nil {
		return "", err
	}
	defer it.Close()
	var out []string
	for it.HasNext() {
		m, err := it.Next()
		if err != nil {
			return "", err
		}
		out = append(out, fmt.Sprintf("%s@%d deleted=%t", m.Value, m.Timestamp.Seconds, m.IsDelete))
	}
	return strings.Join(out, "; "), nil
}

func several(values [][]byte, err error) (string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		if out[i] = string(v); v == nil {
			out[i] = "none"
		}
	}
	return "[" + strings.Join(out, " ") + "]", err
}

// about tells what a chaincode can know of its transaction.
func about(s stub, _ []string) (string, error) {
	creator, err := s.GetCreator()
	if err != nil {
		return "", err
	}
	binding, err := s.GetBinding()
	if err != nil {
		return "", err
	}
	signed, err := s.GetSignedProposal()
	if err != nil {
		return "", err
	}
	ts, err := s.GetTxTimestamp()
	if err != nil {
		return "", err
	}
	slice, err := s.GetArgsSlice()
	if err != nil {
		return "", err
	}
	function, parameters := s.GetFunctionAndParameters()
	transient, err := s.GetTransient()
	return fmt.Sprintf("%s %s %x %x %x %d.%d %q %q %q %d %q %d", s.GetChannelID(), s.GetTxID(), sha256.Sum256(creator), binding,
		sha256.Sum256(signed.ProposalBytes), ts.Seconds, ts.Nanos, s.GetArgs(), slice, function, len(parameters), transient["data"], len(s.GetDecorations())), err
}
