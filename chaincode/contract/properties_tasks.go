package contract

import (
	"fmt"
	"strings"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/form"
)

// bounded is a number of a task's terms within the bounds that fl checks, by the
// path of its JSON names.
func bounded(path, format string, args ...any) schema {
	for _, bound := range fl.TermsBounds(fl.Terms{}) {
		if bound.Field == path {
			return said(format, args...).from(bound.Least, bound.Most)
		}
	}
	return schema{} // has no description, which is a fault
}

func modelRef(format string, args ...any) schema { return said(format, args...) }

// strategyPattern is the names of the strategies, each with or without parameters.
func strategyPattern() string {
	var names []string
	for _, rule := range fl.StrategyRules() {
		names = append(names, rule.Name)
	}
	return fmt.Sprintf(`(%s)(:[a-z0-9_]+=[0-9.e+-]+(,[a-z0-9_]+=[0-9.e+-]+)*)?`, strings.Join(names, "|"))
}

func taskPhase(format string, args ...any) schema {
	return oneOf(said(format, args...), fl.TaskJoining, fl.TaskStarting, fl.TaskRunning, fl.TaskCompleted, fl.TaskFailed)
}

// taskObjects is what is said of tasks.
func taskObjects() map[string]object {
	return map[string]object{
		"TaskTerms": {"What a coordinator fixes when a task is created; it never changes.", map[string]schema{
			"task":           taskName(),
			"model":          said("Architecture, by the trainer's name for it.").like(fmt.Sprintf(`[a-z0-9.-]{1,%d}`, form.MaxName)),
			"data":           said("Label of the data, for instance pneumoniamnist.").like(fmt.Sprintf(`[a-z0-9._-]{1,%d}`, form.MaxName)),
			"channels":       bounded("channels", "Channels of an image as the model takes it."),
			"image_size":     bounded("image_size", "Height and width of an image.").in("pixels"),
			"classes":        bounded("classes", "Classes that the model tells apart."),
			"class_names":    said("What the outputs mean: the classes by name, in their order. Of two the second is the positive one. Left out by tasks from before there were names.").times(2, fl.MaxClasses).once(),
			"training":       said("Hyper-parameters that every trainer uses."),
			"strategy":       said("Aggregation strategy, with parameters as name=number after a colon, for instance krum:num_malicious_nodes=1.").like(strategyPattern()),
			"metric":         oneOf(said("What the masters score."), fl.MetricAccuracy, fl.MetricAUC),
			"threshold_kind": oneOf(said("What the median of an update's scores is compared with: the threshold, or the previous global model's median less the threshold."), fl.ThresholdAbsolute, fl.ThresholdRelative),
			"threshold":      bounded("threshold", "The threshold: 500000 is 0.5.").in(inMicro),
			"f":              said("Masters that may lie, f.").from(0, fl.MaxMasters),
			"masters":        said("Masters of a round, m: at least 3f+1, of as many organisations.").from(int64(fl.Quorum(0))+1, fl.MaxMasters),
			"participation":  bounded("participation", "Share of the nodes that are no masters and train in a round, P: 1000000 is all of them.").in(inMicro),
			"min_updates":    bounded("min_updates", "Updates with which a round goes on at the training deadline."),
			"max_examples":   bounded("max_examples", "The most examples that an update counts for.").in("examples"),
			"base_weight":    bounded("base_weight", "A newcomer's weight in the election of masters.").in(inMicro),
			"rounds":         bounded("rounds", "Rounds to close, R."),
			"max_failed":     bounded("max_failed", "Rounds that may fail in a row before the task fails."),
			"deadlines":      said("How long the phases may take."),
			"initial":        modelRef("The first global model, encrypted to the coordinator."),
			"recipient":      recipientKey("The coordinator's age X25519 recipient."),
			"privacy":        said("Differential privacy of the training; left out for none. A private task neither balances classes nor augments images."),
			"backbone":       said("Frozen layers in front of what is trained; left out for none."),
			"input":          said("How an image becomes numbers. Left out by tasks from before there was this field."),
			"retention":      said("How long the private IPFS keeps what the rounds have made. Left out to keep all."),
		}},
		"Retention": {"How long the private IPFS keeps what the rounds of a task have made, in rounds counted back from the newest that has closed. Both are 0 to keep all, or neither is.", map[string]schema{
			"updates": bounded("retention.updates", "Newest rounds whose updates are kept.").in("rounds"),
			"models":  bounded("retention.models", "Newest rounds whose global models are kept.").in("rounds"),
		}},
		"Input": {"How a stored pixel of an image becomes a number, and how an image is brought to the model's size.", map[string]schema{
			"window_low":  bounded("input.window_low", "Stored value that becomes black; with window_high 0 as well, the full range of the file's depth: 4095000000 is 4095.").in(inMicro),
			"window_high": bounded("input.window_high", "Stored value that becomes white.").in(inMicro),
			"own_window":  said("Whether a window that a DICOM file names goes before this one."),
			"inverted":    said("Whether black and white are exchanged."),
			"mean":        said("What a value from 0 (black) to 1 (white) is lessened by, a number for every channel.").in(inMicro).times(1, 16),
			"std":         said("What it is divided by then, a number for every channel.").in(inMicro).times(1, 16),
			"fit":         oneOf(said("How an image of any shape becomes a square: stretched, padded with black, or cropped to its middle."), fl.Fits()...),
		}},
		"Training": {"Hyper-parameters of a trainer's stochastic gradient descent.", map[string]schema{
			"epochs":              bounded("training.epochs", "Passes over the local data in a round, E."),
			"batch_size":          bounded("training.batch_size", "Examples of a step.").in("examples"),
			"learning_rate":       bounded("training.learning_rate", "Learning rate: 10000 is 0.01.").in(inMicro),
			"momentum":            bounded("training.momentum", "Momentum: 900000 is 0.9, and 0 is plain gradient descent.").in(inMicro),
			"seed":                said("Seed of the shuffles, mixed with round and node."),
			"learning_rate_decay": bounded("training.learning_rate_decay", "What the learning rate is multiplied by from round to round; left out, or 0, for no decay.").in(inMicro),
			"balance_classes":     said("Whether an example counts for the more the rarer its class is at its trainer."),
			"augmentation":        said("Random changes of the training images; left out for none."),
		}},
		"Augmentation": {"How training images are changed at random, anew in every epoch.", map[string]schema{
			"flip":     said("Whether left and right are exchanged in every other image."),
			"shift":    bounded("training.augmentation.shift", "How far an image is moved at most, in x and in y.").in("pixels"),
			"rotate":   bounded("training.augmentation.rotate", "How far an image is turned at most, either way: 10000000 is ten degrees.").in("millionths of a degree"),
			"contrast": bounded("training.augmentation.contrast", "By what share the distance of the values from their mean is changed at most.").in(inMicro),
		}},
		"Deadlines": {"How long the phases of a task and its rounds may take. The clock is the transactions' timestamps.", map[string]schema{
			"starting":    bounded("deadlines.starting", "For the nodes to reveal their salts.").in(inSeconds),
			"training":    bounded("deadlines.training", "For the trainers to submit their updates.").in(inSeconds),
			"committing":  bounded("deadlines.committing", "For the masters to seal their scores.").in(inSeconds),
			"revealing":   bounded("deadlines.revealing", "For the masters to reveal them.").in(inSeconds),
			"aggregating": bounded("deadlines.aggregating", "For the coordinator to propose the global model; twice that for a quorum to attest it.").in(inSeconds),
		}},
		"Privacy": {"Differential privacy of a task's local training (DP-SGD).", map[string]schema{
			"noise_multiplier": bounded("privacy.noise_multiplier", "Standard deviation of the noise over the clipping norm.").in(inMicro),
			"clipping_norm":    bounded("privacy.clipping_norm", "The most, as Euclidean norm, that the gradient of one example counts for.").in(inMicro),
			"inverse_delta":    bounded("privacy.inverse_delta", "1/δ: 100000 is a δ of 0.00001."),
			"epsilon":          bounded("privacy.epsilon", "Budget: the most ε, at δ, that the task may spend of a node's data set.").in(inMicro),
		}},
		"Backbone": {"Frozen layers that are the same at all nodes.", map[string]schema{
			"digest": digest("SHA-256 of the plain canonical weights."),
			"random": said("Whether the weights are drawn from the seed, not pre-trained."),
			"seed":   said("Seed of random weights, else 0."),
		}},
		"ModelRef": {"Weights that lie encrypted in the private IPFS.", map[string]schema{
			"cid":    contentID("CIDv1 of the ciphertext, in base32."),
			"digest": digest("SHA-256 of the plain canonical weights."),
			"size":   said("Length of the plain canonical weights.").in(inBytes).from(1, fl.MaxModelSize),
		}},
		"Task": {"A federated job: its terms, and where it stands.", map[string]schema{
			"first":      modelRef("The first global model, encrypted to all nodes once the task has started."),
			"phase":      taskPhase("Where the task stands."),
			"deadline":   moment("When the phase ends; 0 when it has no end."),
			"creator":    identity("The coordinator who created it"),
			"created_at": moment("When it was created."),
		}},
		"Node": {"A participant of a task.", map[string]schema{
			"id":         identity("The node"),
			"org":        said("MSP identifier of its organisation."),
			"commitment": digest("Commitment to the node's beacon salt."),
			"recipient":  recipientKey("age X25519 recipient that weights are encrypted to."),
			"joined_at":  moment("When it joined."),
			"dataset":    digest("Of a private task: salted digest of the name of its data set."),
			"examples":   said("Of a private task: examples of its data set.").in("examples"),
			"budget":     said("Of a private task: the most ε that all tasks may spend of its data set; left out for no such limit.").in(inMicro),
		}},
		"BeaconSalt": {"A beacon salt that its node has revealed.", map[string]schema{
			"node": identity("The node"),
			"salt": digest("The salt."),
		}},
		"Standing": {"What a node's past rounds say of it.", map[string]schema{
			"node":   identity("The node"),
			"weight": share("Its weight in the next election: the last median, or one millionth after a rejection or a silence."),
			"round":  said("Round that set it."),
			"reason": said("Why: accepted, rejected or silent."),
		}},
		"Spending": {"What has been spent of a node's data set: in one task, or in all.", map[string]schema{
			"node":          said(`The node, "MSP/name".`),
			"dataset":       said("The data set, as the node named it when it joined."),
			"updates":       said("Updates that spent it."),
			"divergences":   said("Rényi divergences at the accountant's orders, rounded up; empty when nothing was spent.").in(inMicro),
			"epsilon":       said("The same as ε at δ, rounded up.").in(inMicro),
			"inverse_delta": said("1/δ of the task that spent last."),
		}},
		"TaskState": {"A task with its nodes and how far it has come.", map[string]schema{
			"task":       said("The task."),
			"nodes":      said("Its nodes, by identity."),
			"salts":      said("Beacon salts revealed, by node."),
			"standings":  said("Standings, by node; a node without one has the task's base weight."),
			"last_round": said("Number of the newest round; 0 when none has been opened."),
			"closed":     said("Rounds closed."),
			"spendings":  said("Of a private task: what it has spent of the nodes' data sets, by node."),
		}},
		"TaskPage": {"One page of tasks.", map[string]schema{
			"tasks":    said("The tasks, by name."),
			"bookmark": nextBookmark(),
		}},
		"SpendingPage": {"One page of what has been spent of data sets.", map[string]schema{
			"spendings": said("The spendings, by node."),
			"bookmark":  nextBookmark(),
		}},
		"TaskRequest": {"Names a task.", map[string]schema{"task": taskName()}},
		"ListRequest": {"Pages through a list.", map[string]schema{"bookmark": bookmark(), "page_size": pageSize()}},
		"JoinRequest": {"Enters the caller as a node.", map[string]schema{
			"task":       taskName(),
			"commitment": digest("SHA-256 of the caller's beacon salt with task and node bound in; the salt is revealed later."),
			"recipient":  recipientKey("The caller's age X25519 recipient: weights are encrypted to it."),
			"dataset":    digest("Of a private task: salted digest of the name of the data set that the caller trains on. Otherwise left out."),
			"examples":   said("Of a private task: examples of the data set; at most the task's max_examples. Otherwise left out.").in("examples").from(1, fl.MaxExamples),
			"budget":     said("Of a private task: the most ε that all tasks may spend of the data set; left out, or 0, for no such limit.").in(inMicro).from(0, int64(fl.MaxEpsilon)),
		}},
		"StartRequest": {"Ends joining and brings the first model.", map[string]schema{
			"task":  taskName(),
			"first": modelRef("The task's first model, encrypted to all nodes that have joined."),
			"nodes": said("How many those were.").atLeast(1),
		}},
		"RevealSaltRequest": {"Opens the commitment made on joining.", map[string]schema{
			"task": taskName(),
			"salt": digest("The beacon salt: 32 random bytes."),
		}},
		"DatasetRequest": {"Names a node's data set.", map[string]schema{
			"node":    said(`The node, "MSP/name".`).long(1, form.MaxIdentifier),
			"dataset": said("The data set, as the node named it when it joined.").long(1, form.MaxIdentifier),
		}},
		"TaskEvent": {"What every transaction on a task or a round tells.", map[string]schema{
			"task":  taskName(),
			"round": said("The round; 0 for the task itself."),
			"phase": said("Phase of the round, or of the task where round is 0, after the transaction."),
			"actor": identity("Who sent the transaction"),
		}},
	}
}

// roundObjects is what is said of rounds.
func roundObjects() map[string]object {
	return map[string]object{
		"RoundRequest": {"Names a round.", map[string]schema{"task": taskName(), "round": roundNumber()}},
		"UpdateRequest": {"Submits the caller's update.", map[string]schema{
			"task":         taskName(),
			"round":        roundNumber(),
			"model":        modelRef("The update's weights: of the size of the task's first model, in an envelope that all nodes can open."),
			"num_examples": said("Examples it was trained on; those above the task's max_examples don't count.").in("examples").atLeast(1),
		}},
		"CommitRequest": {"Submits the caller's sealed scores.", map[string]schema{
			"task":  taskName(),
			"round": roundNumber(),
			"hash":  digest("SHA-256 of scores and salt with task, round and master bound in."),
		}},
		"RevealRequest": {"Opens the caller's sealed scores.", map[string]schema{
			"task":   taskName(),
			"round":  roundNumber(),
			"scores": said("One score of each trainer's update and of the previous global model. An update that is left out counts as scored 0."),
			"salt":   digest("The salt that the scores were sealed with: 32 random bytes."),
		}},
		"ProposeRequest": {"Offers an aggregate as the global model.", map[string]schema{
			"task":  taskName(),
			"round": roundNumber(),
			"model": modelRef("The aggregate of the accepted updates."),
		}},
		"AttestRequest": {"Attests an aggregate.", map[string]schema{
			"task":   taskName(),
			"round":  roundNumber(),
			"digest": digest("SHA-256 of the plain canonical weights of the aggregate that the caller computed."),
		}},
		"RoundHistoryRequest": {"Asks for every committed value of a round, or of its task.", map[string]schema{
			"task":  taskName(),
			"round": said("Number of the round; 0 for the task itself.").from(0, maxRound),
		}},
		"Round": {"One pass of a task.", map[string]schema{
			"task":            taskName(),
			"number":          roundNumber(),
			"phase":           oneOf(said("Where the round stands."), fl.RoundTraining, fl.RoundCommitting, fl.RoundRevealing, fl.RoundAggregating, fl.RoundClosed, fl.RoundFailed),
			"deadline":        moment("When the phase may be moved on without all."),
			"beacon":          digest("Randomness that masters and trainers were drawn with."),
			"masters":         said("Identities of the masters, in drawn order."),
			"trainers":        said("Identities of the trainers, in drawn order."),
			"spent":           said("Of a private task: identities of the nodes that have no budget left and so were not drawn to train."),
			"previous":        modelRef("Global model that the trainers start from."),
			"previous_round":  said("Round that made it; 0 for the task's first model."),
			"opened_at":       moment("When it was opened."),
			"changed_at":      moment("When its phase last changed."),
			"results":         said("What the tally found, in the order of the trainers; empty before."),
			"allowance":       share("Of a relative threshold: how far below the previous median an update is accepted."),
			"previous_median": share("Median of the previous global model; -1 when it was not scored."),
			"global":          modelRef("The global model, once the round has closed."),
			"attestations":    said("Masters that attested the global model."),
			"reason":          said("Why the round failed; empty otherwise."),
			"failed_in":       said("Phase that it failed in; empty otherwise, and when it never began."),
		}},
		"RoundState": {"Everything the ledger knows of a round.", map[string]schema{
			"round":        said("The round."),
			"updates":      said("Updates, by node."),
			"commitments":  said("Sealed scores, by master."),
			"reveals":      said("Opened scores, by master."),
			"proposals":    said("Proposed global models, by proposer."),
			"attestations": said("Attestations, by master."),
		}},
		"Update": {"A trainer's weights for a round.", map[string]schema{
			"node":         identity("The trainer"),
			"model":        modelRef("The weights."),
			"num_examples": said("Examples that the update counts for.").in("examples"),
			"submitted_at": moment("When it was submitted."),
		}},
		"Score": {"What a master measured of one update.", map[string]schema{
			"node":  said(`The update's trainer, "MSP/name", or %s for the previous global model.`, fl.PreviousGlobal),
			"score": share("The score: 875000 is 0.875.").from(0, int64(fl.One)),
		}},
		"ScoreCommitment": {"A master's sealed scores.", map[string]schema{
			"master": identity("The master"),
			"hash":   digest("SHA-256 of scores and salt."),
		}},
		"Reveal": {"A master's opened scores.", map[string]schema{
			"master": identity("The master"),
			"scores": said("The scores, by node."),
			"salt":   digest("The salt that they were sealed with; it feeds the next beacon."),
		}},
		"Result": {"What the tally found for one update.", map[string]schema{
			"node":     identity("The trainer"),
			"median":   share("Lower median of the scores; -1 when too few masters of other organisations revealed."),
			"scores":   said("Scores that it was taken over."),
			"accepted": said("Whether the update goes into the global model."),
		}},
		"Proposal": {"An aggregate offered as the global model.", map[string]schema{
			"proposer": identity("Who proposed it"),
			"model":    modelRef("The aggregate."),
		}},
		"GlobalAttestation": {"A master's word that it computed this global model itself.", map[string]schema{
			"master": identity("The master"),
			"digest": digest("SHA-256 of the plain canonical weights."),
		}},
		"LineageStep": {"One link of a global model's ancestry.", map[string]schema{
			"round":          roundNumber(),
			"global":         modelRef("The global model that the round made."),
			"previous":       modelRef("The model that it started from."),
			"previous_round": said("Round that made that; 0 for the task's first model."),
			"masters":        said("Identities of the masters that scored the updates."),
			"updates":        said("The accepted updates."),
			"rejected":       said("Identities of the trainers whose update was not accepted."),
			"tx_id":          said("Transaction that closed the round."),
		}},
	}
}
