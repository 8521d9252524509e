package gateway

import (
	"context"
	"reflect"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// The table of transactions: of each its name, whether it is submitted or
// evaluated, by any peer or the custodian's, what it is asked with and what it
// answers. A test holds it against
// the chaincode's own.
var (
	createTask    = submitted[fl.Terms, fl.Task]("task:CreateTask")
	joinTask      = submitted[fl.JoinRequest, fl.Node]("task:JoinTask")
	startTask     = submitted[fl.StartRequest, fl.Task]("task:StartTask")
	revealSalt    = submitted[fl.RevealSaltRequest, fl.BeaconSalt]("task:RevealSalt")
	getTask       = evaluated[fl.TaskRequest, fl.TaskState]("task:GetTask")
	listTasks     = evaluated[fl.ListRequest, fl.TaskPage]("task:ListTasks")
	getSpending   = evaluated[fl.DatasetRequest, fl.Spending]("task:GetSpending")
	listSpendings = evaluated[fl.ListRequest, fl.SpendingPage]("task:ListSpendings")

	openRound       = submitted[fl.RoundRequest, fl.Round]("round:OpenRound")
	submitUpdate    = submitted[fl.UpdateRequest, fl.Update]("round:SubmitUpdate")
	closeTraining   = submitted[fl.RoundRequest, fl.Round]("round:CloseTraining")
	commitScores    = submitted[fl.CommitRequest, fl.ScoreCommitment]("round:CommitScores")
	closeCommits    = submitted[fl.RoundRequest, fl.Round]("round:CloseCommits")
	revealScores    = submitted[fl.RevealRequest, fl.Reveal]("round:RevealScores")
	tally           = submitted[fl.RoundRequest, fl.Round]("round:Tally")
	proposeGlobal   = submitted[fl.ProposeRequest, fl.Proposal]("round:ProposeGlobal")
	attestGlobal    = submitted[fl.AttestRequest, fl.Attestation]("round:AttestGlobal")
	closeRound      = submitted[fl.RoundRequest, fl.Round]("round:CloseRound")
	getRound        = evaluated[fl.RoundRequest, fl.RoundState]("round:GetRound")
	getLineage      = evaluated[fl.RoundRequest, []fl.LineageStep]("round:GetLineage")
	getRoundHistory = evaluated[fl.HistoryRequest, []ledger.Change]("round:GetRoundHistory")

	stage           = private[record.VersionRequest, record.SealedVersion, record.Staged]("record:Stage", "version")
	unstage         = submitted[record.VersionRequest, record.Purged]("record:Unstage")
	register        = submitted[record.RegisterRequest, record.Record]("record:Register")
	addVersion      = submitted[record.AddVersionRequest, record.Version]("record:AddVersion")
	deprecate       = submitted[record.RecordRequest, record.Record]("record:Deprecate")
	requestErasure  = submitted[record.ErasureRequest, record.Record]("record:RequestErasure")
	purge           = submitted[record.RecordRequest, record.Purged]("record:Purge")
	attestErasure   = submitted[record.RecordRequest, record.Attestation]("record:AttestErasure")
	completeErasure = submitted[record.RecordRequest, record.Record]("record:CompleteErasure")
	getRecord       = evaluated[record.RecordRequest, record.Record]("record:Get")
	listRecords     = evaluated[record.PageRequest, record.RecordPage]("record:List")
	getVersion      = evaluated[record.VersionRequest, record.Version]("record:GetVersion")
	listVersions    = evaluated[record.VersionsRequest, record.VersionPage]("record:ListVersions")
	getPrivate      = evaluatedAt[record.VersionRequest, record.SealedVersion]("record:GetPrivate")
	getErasure      = evaluated[record.RecordRequest, record.Erasure]("record:GetErasure")

	publish          = submitted[record.PublishRequest, record.Recipient]("directory:Publish")
	retire           = submitted[record.RetireRequest, record.Recipient]("directory:Retire")
	putHospitalKey   = private[record.HospitalKeyRequest, record.HospitalKey, record.HospitalKeyDigest]("directory:PutHospitalKey", "key")
	getRecipient     = evaluated[record.RecipientRequest, record.Recipient]("directory:Get")
	listOfficers     = evaluated[record.OfficersRequest, record.RecipientPage]("directory:ListOfficers")
	listHospitalKeys = evaluatedAt[record.HospitalRequest, []record.HospitalKey]("directory:ListHospitalKeys")

	request            = submitted[consent.AskRequest, consent.Offer]("consent:Request")
	counter            = submitted[consent.OfferRequest, consent.Offer]("consent:Counter")
	accept             = submitted[consent.AcceptRequest, consent.Agreement]("consent:Accept")
	reject             = submitted[consent.AnswerRequest, consent.Consent]("consent:Reject")
	withdraw           = submitted[consent.AnswerRequest, consent.Consent]("consent:Withdraw")
	revoke             = submitted[consent.RevokeRequest, consent.Revocation]("consent:Revoke")
	renew              = submitted[consent.OfferRequest, consent.Offer]("consent:Renew")
	markEnteredInError = submitted[consent.ConsentRequest, consent.Revocation]("consent:MarkEnteredInError")
	putTerms           = private[consent.AnswerRequest, consent.SealedTerms, consent.Offer]("consent:PutTerms", "terms")
	readTerms          = evaluatedAt[consent.AnswerRequest, consent.SealedTerms]("consent:ReadTerms")
	getConsent         = evaluated[consent.ConsentRequest, consent.State]("consent:Get")
	listConsents       = evaluated[record.PageRequest, consent.Page]("consent:List")

	requestAccess   = submitted[consent.AccessRequest, consent.Access]("access:RequestAccess")
	putGrant        = private[consent.GrantRequest, consent.GrantInput, consent.GrantDigest]("access:PutGrant", "grant")
	purgeGrants     = submitted[consent.ConsentRequest, record.Purged]("access:PurgeGrants")
	readGrant       = evaluatedAt[consent.ReadGrantRequest, []consent.Grant]("access:ReadGrant")
	getGrantDigests = evaluated[consent.ReadGrantRequest, []consent.GrantDigest]("access:GetGrantDigests")
	getAccess       = evaluated[consent.ReadGrantRequest, consent.Access]("access:Get")

	listAccesses = evaluated[consent.AccessListRequest, consent.AccessPage]("audit:ListAccesses")
	history      = evaluated[ledger.HistoryRequest, ledger.History]("audit:History")
)

// row is what the table says of a transaction.
type row struct {
	name              string // "contract:Name"
	evaluated         bool   // a query: evaluated, not submitted
	custodian         bool   // endorsed or answered by the custodian's peer alone
	field             string // transient field of its private part, "" for none
	request, response reflect.Type
}

// rows are all rows of the table.
var rows []row

func enter[Request, Response any](r row) {
	r.request, r.response = reflect.TypeFor[Request](), reflect.TypeFor[Response]()
	rows = append(rows, r)
}

// The forms of a transaction, by who carries it out: any peers that its policy
// asks for, any one peer, or a peer of the organisation whose collections it
// writes or reads.
type (
	submission[Request, Response any] func(context.Context, Caller, Request) (Response, error)
	query[Request, Response any]      func(context.Context, Caller, Request) (Response, error)

	privateSubmission[Request, Private, Response any] func(ctx context.Context, c PrivateCaller, organisation string, r Request, p Private) (Response, error)
	privateQuery[Request, Response any]               func(ctx context.Context, c PrivateCaller, organisation string, r Request) (Response, error)
)

// submitted is a row of a transaction that is endorsed, ordered and committed.
func submitted[Request, Response any](name string) submission[Request, Response] {
	enter[Request, Response](row{name: name})
	return func(ctx context.Context, c Caller, r Request) (result Response, err error) {
		err = c.Submit(ctx, name, r, &result)
		return result, err
	}
}

// evaluated is a row of a query.
func evaluated[Request, Response any](name string) query[Request, Response] {
	enter[Request, Response](row{name: name, evaluated: true})
	return func(ctx context.Context, c Caller, r Request) (result Response, err error) {
		err = c.Evaluate(ctx, name, r, &result)
		return result, err
	}
}

// private is a row of a transaction whose private part goes in a transient field
// and is endorsed by the organisation's peers.
func private[Request, Private, Response any](name, field string) privateSubmission[Request, Private, Response] {
	enter[Request, Response](row{name: name, custodian: true, field: field})
	return func(ctx context.Context, c PrivateCaller, organisation string, r Request, p Private) (result Response, err error) {
		err = c.SubmitPrivate(ctx, organisation, name, r, map[string]any{field: p}, &result)
		return result, err
	}
}

// evaluatedAt is a row of a query of the organisation's collections.
func evaluatedAt[Request, Response any](name string) privateQuery[Request, Response] {
	enter[Request, Response](row{name: name, evaluated: true, custodian: true})
	return func(ctx context.Context, c PrivateCaller, organisation string, r Request) (result Response, err error) {
		err = c.EvaluateAt(ctx, organisation, name, r, &result)
		return result, err
	}
}
