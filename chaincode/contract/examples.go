package contract

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// example is a request of a transaction and, where it takes one, its transient
// field. All examples together are one story, see Story, told at ExampleTime.
type example struct {
	request any
	private any // nil for none
}

// ExampleTime is when the story of the examples is told, in Unix seconds: the
// first of January 2026. A digest of an example that covers a time covers this.
const ExampleTime = 1_767_225_600

// The story's people and things. That these nodes are a trainer and a master of
// round 1 is what its beacon, and so the salts of all nodes, comes to.
const (
	exampleTask      = "pneumonia"
	exampleNode      = "Hospital1MSP/node1"
	exampleTrainer   = "Hospital1MSP/node1"
	exampleTrainer2  = "Hospital2MSP/node1"
	exampleMaster    = "Hospital3MSP/node1"
	exampleCustodian = "Hospital1MSP"
	exampleGrantee   = "InsurerMSP/requester"
	exampleRecipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	exampleOfficer   = "amina"
	exampleUntil     = 2_051_222_400 // the first of January 2035
)

// ExampleDraw stands for 32 random bytes, in hexadecimal: those that the examples
// draw for a purpose.
func ExampleDraw(purpose string) string {
	sum := sha256.Sum256([]byte("medfed example: " + purpose))
	return hex.EncodeToString(sum[:])
}

func exampleID(prefix string) string { return prefix + ExampleDraw(prefix)[:form.OpaqueDigits] }

func examplePatient() string { return exampleID(record.PatientPrefix) }

// exampleCID is the CID of a ciphertext.
func exampleCID(of string) string {
	sum := sha256.Sum256([]byte(of))
	hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		return "" // which the test of the examples finds
	}
	return cid.NewCidV1(cid.Raw, hash).String()
}

func exampleModel(of string) fl.ModelRef {
	return fl.ModelRef{CID: exampleCID(of), Digest: ExampleDraw(of), Size: 100_000}
}

func exampleWrap(of string) string {
	return base64.StdEncoding.EncodeToString([]byte("age-encryption.org/v1 " + of))
}

// exampleTerms are those of the story's task.
func exampleTerms() fl.Terms {
	return fl.Terms{
		Task: exampleTask, Model: "hmchain-cnn", Data: "pneumoniamnist", Channels: 1, ImageSize: 28, Classes: 2, ClassNames: []string{"normal", "pneumonia"},
		Input: fl.Input{Mean: []fl.Micro{500_000}, Std: []fl.Micro{500_000}, Fit: fl.FitStretch},
		Training: fl.Training{
			Epochs: 5, BatchSize: 128, LearningRate: 10_000, Momentum: 900_000, Seed: 7, Decay: 990_000, BalanceClasses: true,
			Augmentation: fl.Augmentation{Flip: true, Shift: 2, Rotate: 10 * fl.One, Contrast: 100_000},
		},
		Strategy: fl.StrategyFedAvg, Metric: fl.MetricAccuracy, ThresholdKind: fl.ThresholdAbsolute, Threshold: 500_000,
		F: 1, Masters: 4, Participation: fl.One, MinUpdates: 2, MaxExamples: 10_000, BaseWeight: 500_000, Rounds: 1, MaxFailed: 3,
		Deadlines: fl.Deadlines{Starting: 600, Training: 3600, Committing: 600, Revealing: 600, Aggregating: 600},
		Retention: fl.Retention{Updates: 2, Models: 10},
		Initial:   exampleModel("first model"), Recipient: exampleRecipient,
	}
}

// exampleScores are what the story's masters measure.
func exampleScores() []fl.Score {
	return []fl.Score{{Node: exampleTrainer, Score: 875_000}, {Node: exampleTrainer2, Score: 880_000}, {Node: fl.PreviousGlobal, Score: 500_000}}
}

func exampleVersion(version int) record.SealedVersion {
	return record.SealedVersion{Record: exampleID(record.RecordPrefix), Version: version, Sealed: exampleWrap("to a key of this document and the patient")}
}

func exampleContentDigest() string {
	return record.ContentDigest(ExampleDraw("salt of the version"), exampleCID("X-ray"), ExampleDraw("X-ray"))
}

func exampleConsentTerms() consent.Terms {
	return consent.Terms{
		Scope: consent.Scope{Kind: consent.ScopeThis, Version: 1}, Period: consent.Period{Until: exampleUntil},
		Purposes: []string{"CLMATTCH", "COVERAGE"}, Compensation: consent.CompensationMoney,
	}
}

func exampleSealedTerms(offer int) consent.SealedTerms {
	return consent.SealedTerms{Consent: exampleID(consent.ConsentPrefix), Offer: offer, Sealed: exampleWrap("to the patient and the grantee")}
}

// exampleOffer is what the ledger makes of the patient's counter-offer.
func exampleOffer() consent.Offer {
	request := exampleOfferRequest(2)
	return consent.Offer{
		Consent: request.Consent, Record: exampleID(record.RecordPrefix), Offer: request.Offer,
		Side: consent.SidePatient, By: exampleCustodian + "/" + examplePatient(),
		Terms: request.Terms, PrivateDigest: request.PrivateDigest, Expires: request.Expires, MadeAt: ExampleTime,
	}
}

func exampleOfferRequest(offer int) consent.OfferRequest {
	return consent.OfferRequest{
		Consent: exampleID(consent.ConsentPrefix), Offer: offer, Terms: exampleConsentTerms(),
		PrivateDigest: form.Digest(exampleSealedTerms(offer)), Expires: exampleUntil,
	}
}

// examples is an example of every transaction.
func examples() map[string]example {
	all := taskExamples()
	for _, more := range []map[string]example{recordExamples(), consentExamples()} {
		for _, name := range sortedNames(more) {
			all[name] = more[name]
		}
	}
	return all
}

func taskExamples() map[string]example {
	first, global := exampleModel("first model"), exampleModel("global model 1")
	first.CID = exampleCID("first model, encrypted to all nodes")
	scoresSalt := ExampleDraw("salt of the scores")
	task, round, list := fl.TaskRequest{Task: exampleTask}, fl.RoundRequest{Task: exampleTask, Round: 1}, fl.ListRequest{PageSize: 100}
	return map[string]example{
		"task:CreateTask": {request: exampleTerms()},
		"task:JoinTask": {request: fl.JoinRequest{
			Task: exampleTask, Commitment: fl.SaltCommitment(exampleTask, exampleNode, ExampleDraw(exampleNode)), Recipient: exampleRecipient,
		}},
		"task:StartTask":     {request: fl.StartRequest{Task: exampleTask, First: first, Nodes: 6}},
		"task:RevealSalt":    {request: fl.RevealSaltRequest{Task: exampleTask, Salt: ExampleDraw(exampleNode)}},
		"task:GetTask":       {request: task},
		"task:ListTasks":     {request: list},
		"task:GetSpending":   {request: fl.DatasetRequest{Node: exampleNode, Dataset: ExampleDraw("data set")}},
		"task:ListSpendings": {request: list},
		"round:OpenRound":    {request: round},
		"round:SubmitUpdate": {request: fl.UpdateRequest{
			Task: exampleTask, Round: 1, Model: exampleModel("update of " + exampleTrainer), NumExamples: 1000,
		}},
		"round:CloseTraining": {request: round},
		"round:CommitScores": {request: fl.CommitRequest{
			Task: exampleTask, Round: 1, Hash: fl.ScoresCommitment(exampleTask, 1, exampleMaster, exampleScores(), scoresSalt),
		}},
		"round:CloseCommits":    {request: round},
		"round:RevealScores":    {request: fl.RevealRequest{Task: exampleTask, Round: 1, Scores: exampleScores(), Salt: scoresSalt}},
		"round:Tally":           {request: round},
		"round:ProposeGlobal":   {request: fl.ProposeRequest{Task: exampleTask, Round: 1, Model: global}},
		"round:AttestGlobal":    {request: fl.AttestRequest{Task: exampleTask, Round: 1, Digest: global.Digest}},
		"round:CloseRound":      {request: round},
		"round:GetRound":        {request: round},
		"round:GetLineage":      {request: round},
		"round:GetRoundHistory": {request: fl.HistoryRequest{Task: exampleTask, Round: 1}},
	}
}

func recordExamples() map[string]example {
	id := exampleID(record.RecordPrefix)
	one, version := record.RecordRequest{Record: id}, record.VersionRequest{Record: id, Version: 1}
	next := record.VersionRequest{Record: id, Version: 2}
	holders := []string{exampleCustodian, "ResearchCentreMSP"}
	return map[string]example{
		"record:Stage":   {version, exampleVersion(1)},
		"record:Unstage": {request: next},
		"record:Register": {request: record.RegisterRequest{
			Record: id, Kind: record.KindImage, Patient: examplePatient(), Digest: form.Digest(exampleVersion(1)), Content: exampleContentDigest(), Size: 4096, Holders: holders,
		}},
		"record:AddVersion": {request: record.AddVersionRequest{
			Record: id, Version: 2, Digest: form.Digest(exampleVersion(2)), Content: exampleContentDigest(), Size: 4096, Holders: holders,
		}},
		"record:Deprecate":       {request: one},
		"record:RequestErasure":  {request: record.ErasureRequest{Record: id, Members: []string{"Hospital2MSP"}}},
		"record:Purge":           {request: one},
		"record:AttestErasure":   {request: one},
		"record:CompleteErasure": {request: one},
		"record:Get":             {request: one},
		"record:List":            {request: record.PageRequest{By: "custodian", Value: exampleCustodian, PageSize: 100}},
		"record:GetVersion":      {request: version},
		"record:ListVersions":    {request: record.VersionsRequest{Record: id, PageSize: 100}},
		"record:GetPrivate":      {request: version},
		"record:GetErasure":      {request: one},

		"directory:Publish": {request: record.PublishRequest{Number: 1, Recipient: exampleRecipient}},
		"directory:Retire":  {request: record.RetireRequest{Role: string(consortium.RoleCustodian), Name: exampleOfficer, Number: 2}},
		"directory:PutHospitalKey": {
			record.HospitalKeyRequest{Number: 1},
			record.HospitalKey{Number: 1, Recipient: exampleRecipient, Wrap: exampleWrap("the hospital key")},
		},
		"directory:Get":              {request: record.RecipientRequest{Identity: exampleCustodian + "/" + exampleOfficer, Role: string(consortium.RoleCustodian)}},
		"directory:ListOfficers":     {request: record.OfficersRequest{MSP: exampleCustodian, PageSize: 100}},
		"directory:ListHospitalKeys": {request: record.HospitalRequest{MSP: exampleCustodian}},
	}
}

func consentExamples() map[string]example {
	id, recordID, accessID := exampleID(consent.ConsentPrefix), exampleID(record.RecordPrefix), exampleID(consent.AccessPrefix)
	one, access := consent.ConsentRequest{Consent: id}, consent.ReadGrantRequest{Access: accessID}
	return map[string]example{
		"consent:Request": {request: consent.AskRequest{
			Consent: id, Record: recordID, Terms: exampleConsentTerms(), PrivateDigest: form.Digest(exampleSealedTerms(1)), Expires: exampleUntil,
		}},
		"consent:Counter":            {request: exampleOfferRequest(2)},
		"consent:PutTerms":           {consent.AnswerRequest{Consent: id, Offer: 2}, exampleSealedTerms(2)},
		"consent:ReadTerms":          {request: consent.AnswerRequest{Consent: id, Offer: 2}},
		"consent:Accept":             {request: consent.AcceptRequest{Consent: id, Offer: 2, Digest: exampleOffer().Digest()}},
		"consent:Renew":              {request: exampleOfferRequest(3)},
		"consent:Withdraw":           {request: consent.AnswerRequest{Consent: id, Offer: 3}},
		"consent:Reject":             {request: consent.AnswerRequest{Consent: id, Offer: 4}},
		"consent:Revoke":             {request: consent.RevokeRequest{Consent: id, Number: 1}},
		"consent:MarkEnteredInError": {request: one},
		"consent:Get":                {request: one},
		"consent:List":               {request: record.PageRequest{By: "grantee", Value: exampleGrantee, PageSize: 100}},

		"access:RequestAccess": {request: consent.AccessRequest{
			Access: accessID, Consent: id, Record: recordID, Version: 1, Purpose: "COVERAGE",
		}},
		"access:PutGrant": {
			consent.GrantRequest{Consent: id, Version: 1},
			consent.GrantInput{Sealed: exampleWrap("to the grantee")},
		},
		"access:ReadGrant":       {request: access},
		"access:GetGrantDigests": {request: access},
		"access:Get":             {request: access},
		"access:PurgeGrants":     {request: one},

		"audit:ListAccesses": {request: consent.AccessListRequest{
			By: string(ledger.AccessesOfRecord), Value: recordID, From: ExampleTime, Until: exampleUntil, PageSize: 100,
		}},
		"audit:History": {request: ledger.HistoryRequest{Object: "record", Parts: []string{recordID}}},
	}
}
