package contract

import (
	"github.com/hyperledger/fabric-contract-api-go/v2/contractapi"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// auditContract is the name before the colon in audit:ListAccesses.
const auditContract = "audit"

// AuditContract answers what happened: who used which record when, permitted or
// denied, and how any document came to be what it is.
type AuditContract struct{ contractapi.Contract }

// NewAuditContract makes the contract.
func NewAuditContract() *AuditContract {
	return &AuditContract{newContract(auditContract, "Audit", "Accesses by patient, record, grantee and time, and the history of any key.")}
}

// GetEvaluateTransactions names the queries.
func (*AuditContract) GetEvaluateTransactions() []string { return evaluated(auditContract) }

// ListAccesses gives one page of accesses, newest first, denials included. Its
// cost is that of the page, however many accesses there are. Caller: an auditor;
// a patient, a grantee or a custodian for their own.
func (*AuditContract) ListAccesses(ctx *ledger.Context, request consent.AccessListRequest) (*consent.AccessPage, error) {
	caller, err := ctx.CallerAs(consortium.RoleAuditor, consortium.RolePatient, consortium.RoleRequester, consortium.RoleCustodian)
	if err != nil {
		return nil, err
	}
	list, value, err := accessList(ctx, caller, request)
	if err != nil {
		return nil, err
	}
	if request.From < 0 || request.Until < 0 {
		return nil, codes.Errorf("MF-LIST-TIME", "a bound is before all time; send from and until in Unix seconds, or 0 for none")
	}
	until := request.Until
	if until == 0 {
		until = 1<<63 - 1
	}
	start := ledger.AccessesUntil(list, value, until)
	accesses, bookmark, err := ledger.PageFrom[consent.Access](ctx, ledger.Accesses(list, value), start, request.PageSize, request.Bookmark)
	if err != nil {
		return nil, err
	}
	for i, access := range accesses {
		if access.At < request.From {
			return &consent.AccessPage{Accesses: accesses[:i], Bookmark: ""}, nil
		}
	}
	return &consent.AccessPage{Accesses: accesses, Bookmark: bookmark}, nil
}

// accessList finds the list a caller may see.
func accessList(ctx *ledger.Context, caller consortium.Caller, request consent.AccessListRequest) (ledger.AccessList, string, error) {
	list := ledger.AccessList(request.By)
	switch list {
	case ledger.AllAccesses:
		if request.Value != "" {
			return list, "", codes.Errorf("MF-LIST-UNKNOWN", "the list of all accesses takes no value; leave it empty")
		}
		return list, string(list), mayList(caller, false)
	case ledger.AccessesOfPatient:
		return list, request.Value, mayList(caller, caller.Role == consortium.RolePatient && caller.ID == request.Value)
	case ledger.AccessesOfGrantee:
		return list, request.Value, mayList(caller, caller.Role == consortium.RoleRequester && caller.ID == request.Value)
	case ledger.AccessesOfRecord:
		rec, err := record.Find(ledger.Records{Reader: ctx}, request.Value)
		if err != nil {
			return list, "", err
		}
		return list, request.Value, mayList(caller, rec.MayDecide(caller) == nil)
	default:
		return list, "", codes.Errorf("MF-LIST-UNKNOWN", "accesses are not listed by that; list them by patient, record, grantee or all")
	}
}

// History gives every committed value of any key of the ledger, oldest first:
// what, who, when and in which transaction. Caller: an auditor.
func (*AuditContract) History(ctx *ledger.Context, request ledger.HistoryRequest) (*ledger.History, error) {
	if _, err := ctx.CallerAs(consortium.RoleAuditor); err != nil {
		return nil, err
	}
	key, err := ledger.ParseKey(request.Object, request.Parts)
	if err != nil {
		return nil, err
	}
	changes, err := ledger.Changes(ctx, key)
	if err != nil {
		return nil, err
	}
	return &ledger.History{Key: key.String(), Entries: changes}, nil
}
