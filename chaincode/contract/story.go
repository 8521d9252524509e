package contract

import (
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/record"
)

// Call is a step of the story that the examples tell.
type Call struct {
	MSP, Name   string // who sends it
	Role        consortium.Role
	Transaction string // "task:CreateTask"
	Example     bool   // it is the transaction's example; if not, a variation of it
	Request     any
	Private     any // its transient field, nil for none
}

// person is who sends calls.
type person struct {
	msp, name string
	role      consortium.Role
}

func (p person) id() string { return p.msp + "/" + p.name }

// storyNodes are the nodes of the story's task, the trainers of its round first.
func storyNodes() []person {
	return []person{
		{"Hospital1MSP", "node1", consortium.RoleTrainer}, {"Hospital2MSP", "node1", consortium.RoleTrainer},
		{"Hospital3MSP", "node1", consortium.RoleTrainer}, {"Hospital2MSP", "node2", consortium.RoleTrainer},
		{"Hospital4MSP", "node1", consortium.RoleTrainer}, {"ResearchCentreMSP", "node1", consortium.RoleTrainer},
	}
}

// Story is every example in the order in which each succeeds, with what others do in
// between, on a ledger that knows nothing of it. Hospital1MSP's peer answers what a
// custodian's peer alone can.
func Story() []Call {
	s := &story{examples: examples()}
	s.round()
	s.records()
	s.consents()
	s.erasure()
	return s.calls
}

type story struct {
	examples map[string]example
	calls    []Call
}

// tell has people send the examples of transactions.
func (s *story) tell(by person, names ...string) {
	for _, name := range names {
		one := s.examples[name]
		s.calls = append(s.calls, Call{by.msp, by.name, by.role, name, true, one.request, one.private})
	}
}

// vary has someone send another request than the example.
func (s *story) vary(by person, name string, request, private any) {
	s.calls = append(s.calls, Call{by.msp, by.name, by.role, name, false, request, private})
}

// round is a task with one round.
func (s *story) round() {
	coordinator := person{"ResearchCentreMSP", "coordinator", consortium.RoleCoordinator}
	nodes := storyNodes()
	first, second, master, others := nodes[0], nodes[1], nodes[2], nodes[3:]
	s.tell(coordinator, "task:CreateTask")
	s.tell(first, "task:JoinTask")
	for _, node := range nodes[1:] {
		s.vary(node, "task:JoinTask", fl.JoinRequest{
			Task: exampleTask, Commitment: fl.SaltCommitment(exampleTask, node.id(), ExampleDraw(node.id())), Recipient: exampleRecipient,
		}, nil)
	}
	s.tell(coordinator, "task:StartTask")
	s.tell(first, "task:RevealSalt")
	for _, node := range nodes[1:] {
		s.vary(node, "task:RevealSalt", fl.RevealSaltRequest{Task: exampleTask, Salt: ExampleDraw(node.id())}, nil)
	}
	s.tell(coordinator, "task:GetTask", "task:ListTasks", "task:GetSpending", "task:ListSpendings", "round:OpenRound")
	s.tell(first, "round:SubmitUpdate")
	s.vary(second, "round:SubmitUpdate", fl.UpdateRequest{
		Task: exampleTask, Round: 1, Model: exampleModel("update of " + exampleTrainer2), NumExamples: 1000,
	}, nil)
	s.tell(coordinator, "round:CloseTraining")
	s.tell(master, "round:CommitScores")
	for _, node := range others {
		s.vary(node, "round:CommitScores", fl.CommitRequest{
			Task: exampleTask, Round: 1, Hash: fl.ScoresCommitment(exampleTask, 1, node.id(), exampleScores(), ExampleDraw(node.id())),
		}, nil)
	}
	s.tell(coordinator, "round:CloseCommits")
	s.tell(master, "round:RevealScores")
	for _, node := range others {
		s.vary(node, "round:RevealScores", fl.RevealRequest{Task: exampleTask, Round: 1, Scores: exampleScores(), Salt: ExampleDraw(node.id())}, nil)
	}
	s.tell(coordinator, "round:Tally", "round:ProposeGlobal")
	s.tell(master, "round:AttestGlobal")
	for _, node := range others {
		s.vary(node, "round:AttestGlobal", s.examples["round:AttestGlobal"].request, nil)
	}
	s.tell(coordinator, "round:CloseRound", "round:GetRound", "round:GetLineage", "round:GetRoundHistory")
}

// officer is of the custodian, patient who the record is of, grantee who asks.
func officer() person { return person{exampleCustodian, exampleOfficer, consortium.RoleCustodian} }
func patient() person { return person{exampleCustodian, examplePatient(), consortium.RolePatient} }
func grantee() person { return person{"InsurerMSP", "requester", consortium.RoleRequester} }
func auditor() person { return person{"AuditorMSP", "auditor", consortium.RoleAuditor} }

// records are the directory, and a record with two versions.
func (s *story) records() {
	s.tell(officer(), "directory:Publish", "directory:PutHospitalKey",
		"directory:Get", "directory:ListOfficers", "directory:ListHospitalKeys", "directory:Retire",
		"record:Stage", "record:Register")
	second := record.VersionRequest{Record: exampleID(record.RecordPrefix), Version: 2}
	s.vary(officer(), "record:Stage", second, exampleVersion(2))
	s.tell(officer(), "record:Unstage")
	s.vary(officer(), "record:Stage", second, exampleVersion(2))
	s.tell(officer(), "record:AddVersion",
		"record:Get", "record:List", "record:GetVersion", "record:ListVersions", "record:GetPrivate")
}

// consents are a negotiation with its accesses.
func (s *story) consents() {
	s.tell(grantee(), "consent:Request")
	s.tell(patient(), "consent:Counter", "consent:PutTerms")
	s.tell(grantee(), "consent:ReadTerms", "consent:Accept")
	s.tell(patient(), "consent:Renew", "consent:Withdraw")
	s.vary(patient(), "consent:Renew", exampleOfferRequest(4), nil)
	s.tell(grantee(), "consent:Reject", "consent:Get", "consent:List", "access:RequestAccess")
	s.tell(officer(), "access:PutGrant")
	s.tell(grantee(), "access:ReadGrant", "access:GetGrantDigests", "access:Get")
	s.tell(auditor(), "audit:ListAccesses", "audit:History")
	s.tell(patient(), "consent:Revoke", "consent:MarkEnteredInError", "access:PurgeGrants")
}

// erasure is the end of the record.
func (s *story) erasure() {
	s.tell(officer(), "record:Deprecate", "record:RequestErasure", "record:Purge", "record:AttestErasure", "record:GetErasure")
	for _, holder := range []person{{"ResearchCentreMSP", "coordinator", consortium.RoleCoordinator}, {"Hospital2MSP", exampleOfficer, consortium.RoleCustodian}} {
		s.vary(holder, "record:AttestErasure", s.examples["record:AttestErasure"].request, nil)
	}
	s.tell(officer(), "record:CompleteErasure")
}
