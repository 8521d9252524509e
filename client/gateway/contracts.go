package gateway

import "context"

// Caller carries out transactions and queries by name; [Gateway] is one.
type Caller interface {
	Submit(ctx context.Context, name string, request, result any) error
	Evaluate(ctx context.Context, name string, request, result any) error
}

// PrivateCaller carries out what concerns one organisation's collections besides
// everything else; [Gateway] is one.
type PrivateCaller interface {
	Caller
	SubmitPrivate(ctx context.Context, organisation, name string, request any, private map[string]any, result any) error
	EvaluateAt(ctx context.Context, organisation, name string, request, result any) error
	Await(ctx context.Context, organisation, transactionID string) error
}

// Contracts are the chaincode's contracts as typed calls. A method has the name of
// its transaction, and who may call it stands in the chaincode's metadata. Every
// transaction is idempotent: repeating it returns the first result. What a method
// calls custodian or hospital is the MSP identifier of the organisation whose
// collections are meant.
type Contracts struct {
	Tasks     Tasks
	Rounds    Rounds
	Records   Records
	Directory Directory
	Consents  Consents
	Accesses  Accesses
	Audit     Audit
}

// ContractsOf are the contracts through a caller.
func ContractsOf(c PrivateCaller) Contracts {
	return Contracts{
		Tasks: Tasks{c}, Rounds: Rounds{c},
		Records: Records{c}, Directory: Directory{c}, Consents: Consents{c}, Accesses: Accesses{c}, Audit: Audit{c},
	}
}

// Contracts are the contracts through this gateway.
func (g *Gateway) Contracts() Contracts { return ContractsOf(g) }
