package contract

import (
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

func recordID() schema {
	return opaque(record.RecordPrefix, "Identifier of the record: random, for public identifiers say nothing.")
}

func consentID() schema {
	return opaque(consent.ConsentPrefix, "Identifier of the consent: random, for public identifiers say nothing.")
}

func accessID() schema {
	return opaque(consent.AccessPrefix, "Identifier of the access, drawn by the requester: random, for public identifiers say nothing.")
}

func versionNumber() schema {
	return said("Number of the version: from 1, without gaps.").from(1, record.MaxVersions)
}

func offerNumber() schema {
	return said("Number of the offer: from 1, without gaps.").atLeast(1)
}

func ciphertextSize() schema {
	return said("Length of the ciphertext.").in(inBytes).from(1, record.MaxSize)
}

func holders() schema {
	return said("MSP identifiers of the members whose nodes pin the ciphertext, sorted; the custodian is one of them.").times(2, record.MaxHolders).once()
}

func kind() schema {
	return oneOf(said("What the record holds: an application of Hu et al., Table 1."), record.Kinds()...)
}

// sealed is a document that was encrypted before it was sent.
func sealed(what string) schema {
	return base64Text(record.MaxSealed, "%s: an age file, base64.", what)
}

func grantSealed() schema {
	return sealed("The CID, the version's key, the plain file's digest and type, and the salt of the version's content_digest, encrypted to the grantee")
}

func contentDigest() schema {
	return digest("SHA-256 of the JSON object of salt, cid and plain_digest, which are in the sealed private part and in every grant: by it a grantee sees that a grant is of this version. Ledgers of before there was one have none.")
}

func role(format string, args ...any) schema {
	return oneOf(said(format, args...), consortium.RoleCoordinator, consortium.RoleTrainer, consortium.RoleCustodian, consortium.RolePatient, consortium.RoleRequester, consortium.RoleAuditor)
}

// msp is an organisation, as a part of a key.
func msp(format string, args ...any) schema {
	return said(format, args...).long(1, form.MaxIdentifier)
}

// recordObjects is what is said of records.
func recordObjects() map[string]object {
	return map[string]object{
		"RecordRequest": {"Names a record.", map[string]schema{"record": recordID()}},
		"VersionRequest": {"Names a version of a record.", map[string]schema{
			"record":  recordID(),
			"version": said("Number of the version: from 1, without gaps."),
		}},
		"ErasureRequest": {"Asks for the erasure of a record.", map[string]schema{
			"record": recordID(),
			"members": said("MSP identifiers, sorted, of the members that must attest besides the holders; left out for none.").
				times(0, record.MaxHolders).once().long(1, record.MaxShortText),
		}},
		"RegisterRequest": {"Registers a record with its version 1.", map[string]schema{
			"record":         recordID(),
			"kind":           kind(),
			"patient":        opaque(record.PatientPrefix, "Pseudonym that the patient is enrolled under with the custodian."),
			"digest":         digest("Digest of the staged private part, as Stage gave it."),
			"content_digest": contentDigest(),
			"size":           ciphertextSize(),
			"holders":        holders(),
		}},
		"AddVersionRequest": {"Adds the version after the newest.", map[string]schema{
			"record":         recordID(),
			"version":        versionNumber(),
			"digest":         digest("Digest of the staged private part, as Stage gave it."),
			"content_digest": contentDigest(),
			"size":           ciphertextSize(),
			"holders":        holders(),
		}},
		"PageRequest": {"Pages through a list.", map[string]schema{
			"by":        oneOf(said("Which list: records by patient or custodian, consents by patient, grantee or record."), "patient", "custodian", "grantee", "record"),
			"value":     said(`Whose: "MSP/name" of a patient or grantee, MSP identifier of a custodian, identifier of a record.`).long(1, form.MaxIdentifier),
			"bookmark":  bookmark(),
			"page_size": pageSize(),
		}},
		"VersionsRequest": {"Pages through the versions of a record, oldest first.", map[string]schema{
			"record":    recordID(),
			"bookmark":  bookmark(),
			"page_size": pageSize(),
		}},
		"Staged": {"What the custodian's collection holds.", map[string]schema{
			"record":  recordID(),
			"version": versionNumber(),
			"digest":  digest("Digest of the private part, for Register or AddVersion."),
		}},
		"Record": {"The public part of a patient's health record.", map[string]schema{
			"record":        recordID(),
			"kind":          kind(),
			"custodian":     said("MSP identifier of the hospital that keeps it."),
			"patient":       identity("The patient, under the pseudonym that the custodian enrolled"),
			"status":        oneOf(said("Where it stands."), record.Active, record.Deprecated, record.Erasing, record.Erased),
			"versions":      said("Number of the newest version; all from 1 exist."),
			"registered_at": moment("When it was registered."),
			"changed_at":    moment("When it last changed."),
			"changed_by":    identity("Who changed it"),
		}},
		"Version": {"The public part of one version of a record.", map[string]schema{
			"record":         recordID(),
			"version":        versionNumber(),
			"digest":         digest("Digest of the private part."),
			"content_digest": contentDigest(),
			"size":           ciphertextSize(),
			"holders":        holders(),
			"added_at":       moment("When it was added."),
			"added_by":       identity("Who added it"),
		}},
		"SealedVersion": {"What the custodian's collection holds of a version.", map[string]schema{
			"record":  recordID(),
			"version": versionNumber(),
			"sealed":  sealed("The patient's identifier, the CID, the wrapped keys and a salt, encrypted to a key of the custodian's own for this document, and to the patient"),
		}},
		"RecordPage":  {"One page of records.", map[string]schema{"records": said("The records."), "bookmark": nextBookmark()}},
		"VersionPage": {"One page of versions.", map[string]schema{"versions": said("The versions, oldest first."), "bookmark": nextBookmark()}},
		"ErasureAttestation": {"A member's word that its nodes have dropped every version of a record.", map[string]schema{
			"record": recordID(),
			"member": said("MSP identifier of the member."),
			"by":     identity("Who attested"),
			"at":     moment("When."),
		}},
		"Erasure": {"How far the erasure of a record has come.", map[string]schema{
			"record":       said("The record."),
			"members":      said("MSP identifiers, sorted, of those that must attest."),
			"remaining":    said("Private keys that still have a value, as collection:key."),
			"attestations": said("Attestations, by member."),
			"missing":      said("MSP identifiers, sorted, of those that have not attested."),
		}},
		"Purged": {"What a purge removed.", map[string]schema{
			"keys": said("Private keys whose values were purged, as collection:key."),
		}},
		"RecordEvent": {"What every transaction on the directory, records, consents and accesses tells. It holds nothing private.", map[string]schema{
			"record":    recordID().orEmpty(),
			"version":   said("Version of the record; 0 where none is meant."),
			"consent":   consentID().orEmpty(),
			"offer":     said("Number of the offer; 0 where none is meant."),
			"access":    accessID().orEmpty(),
			"custodian": said("MSP identifier of the custodian; empty where none is meant."),
			"patient":   identity("The patient; empty where none is meant").orEmpty(),
			"grantee":   identity("The grantee; empty where none is meant").orEmpty(),
			"status":    said("Status of the record or the consent after the transaction, the decision on an access, or what became of an entry of the directory; empty where none is meant."),
			"code":      said("Code that says why an access was denied; empty otherwise."),
			"actor":     identity("Who sent the transaction"),
		}},
	}
}

// directoryObjects is what is said of the directory of age recipients.
func directoryObjects() map[string]object {
	entryNumber := func(what string) schema {
		return said("Number of %s: the newest + 1; the newest again is a success when nothing else differs.", what).atLeast(1)
	}
	return map[string]object{
		"PublishRequest": {"Publishes the caller's age recipient.", map[string]schema{
			"number":    entryNumber("the entry"),
			"recipient": recipientKey("age X25519 recipient."),
		}},
		"RetireRequest": {"Retires an entry of the caller's organisation.", map[string]schema{
			"role":   role("Role that the entry was published with."),
			"name":   said("Whose entry: the certificate's common name, without the MSP.").long(1, form.MaxIdentifier),
			"number": entryNumber("the entry that retires it"),
		}},
		"RecipientRequest": {"Names an entry of the directory.", map[string]schema{
			"identity": identity("Whose entry"),
			"role":     role("Role that it was published with."),
		}},
		"OfficersRequest": {"Pages through the entries of a hospital's officers, by name.", map[string]schema{
			"msp":       msp("MSP identifier of the hospital."),
			"bookmark":  bookmark(),
			"page_size": pageSize(),
		}},
		"HospitalKeyRequest": {"Names the hospital's key that comes by transient.", map[string]schema{
			"number": said("Number of the key: from 1, without gaps.").from(1, record.MaxVersions),
		}},
		"HospitalRequest": {"Names a hospital.", map[string]schema{"msp": msp("MSP identifier of the hospital.")}},
		"Recipient": {"An identity's entry in the directory.", map[string]schema{
			"identity":   identity("Whose entry"),
			"role":       role("Role that it was published with."),
			"number":     said("Number of the entry: from 1, one more with every change."),
			"recipient":  recipientKey("age X25519 recipient; empty once it is retired.").orEmpty(),
			"changed_at": moment("When it was published or retired."),
			"changed_by": identity("Who did so"),
		}},
		"RecipientPage": {"One page of the directory.", map[string]schema{"recipients": said("The entries."), "bookmark": nextBookmark()}},
		"HospitalKey": {"A key pair that all officers of a hospital hold together.", map[string]schema{
			"number":    said("Number of the key: from 1, without gaps.").from(1, record.MaxVersions),
			"recipient": recipientKey("age X25519 recipient."),
			"wrap":      base64Text(record.MaxHospitalWrap, "The private half, encrypted to the officers; base64."),
		}},
		"HospitalKeyDigest": {"The public hash of a hospital's key.", map[string]schema{
			"number": said("Number of the key."),
			"digest": digest("SHA-256 of the key as the collection holds it."),
		}},
	}
}

// consentObjects is what is said of consents.
func consentObjects() map[string]object {
	privateDigest := func() schema {
		return digest("SHA-256 of the private terms as the collection will hold them, see PrivateTerms; left out, or empty, for none.").orEmpty()
	}
	expires := func() schema {
		return moment("When the offer can't be accepted any more; left out, or 0, for never.").atLeast(0)
	}
	terms := func() schema { return said("The public terms.") }
	return map[string]object{
		"AskRequest": {"A grantee's request for a consent, with its first offer.", map[string]schema{
			"consent":        consentID(),
			"record":         recordID(),
			"terms":          terms(),
			"private_digest": privateDigest(),
			"expires":        expires(),
		}},
		"OfferRequest": {"Makes the next offer.", map[string]schema{
			"consent":        consentID(),
			"offer":          offerNumber(),
			"terms":          terms(),
			"private_digest": privateDigest(),
			"expires":        expires(),
		}},
		"AcceptRequest": {"Accepts one exact offer.", map[string]schema{
			"consent": consentID(),
			"offer":   offerNumber(),
			"digest":  digest("SHA-256 of the offer as the ledger holds it: its JSON with the fields in the order of the type."),
		}},
		"AnswerRequest": {"Rejects or withdraws an offer, or names one.", map[string]schema{"consent": consentID(), "offer": offerNumber()}},
		"RevokeRequest": {"Revokes all that was agreed and offered so far.", map[string]schema{
			"consent": consentID(),
			"number":  said("The patient's revocations of this consent before, + 1.").atLeast(1),
		}},
		"ConsentRequest": {"Names a consent.", map[string]schema{"consent": consentID()}},
		"ConsentTerms": {"The public part of what is agreed on.", map[string]schema{
			"scope":        said("Versions of the record that the consent is for."),
			"period":       said("When the consent holds."),
			"purposes":     oneOf(said("What the data is for: codes of HL7's PurposeOfUse, sorted.").times(1, len(consent.Purposes())).once(), consent.Purposes()...),
			"compensation": oneOf(said("What the grantee gives in return; how much is in the private terms."), consent.CompensationNone, consent.CompensationMoney, consent.CompensationCare),
		}},
		"Scope": {"Versions of a record that a consent is for.", map[string]schema{
			"kind":    oneOf(said("One version only, all up to one, or all there are and will be."), consent.ScopeThis, consent.ScopeUpTo, consent.ScopeAllFuture),
			"version": said("The version of this and up-to; 0 for all-future.").from(0, record.MaxVersions),
		}},
		"Period": {"When a consent holds.", map[string]schema{
			"from":  moment("When it begins; 0 for its acceptance.").atLeast(0),
			"until": moment("When it ends: after from, and at most ten years from now.").atLeast(1),
		}},
		"SealedTerms": {"The private terms of an offer, which only its two sides can open.", map[string]schema{
			"consent": consentID(),
			"offer":   offerNumber(),
			"sealed":  sealed("Amount, currency, care and note, encrypted to the patient and the grantee"),
		}},
		"Offer": {"One side's proposed terms.", map[string]schema{
			"consent":        consentID(),
			"record":         recordID(),
			"offer":          offerNumber(),
			"side":           oneOf(said("Side that made it."), consent.SidePatient, consent.SideGrantee),
			"by":             identity("Who made it"),
			"terms":          terms(),
			"private_digest": digest("SHA-256 of the private terms; empty for none.").orEmpty(),
			"expires":        moment("When it can't be accepted any more; 0 for never."),
			"revocations":    said("The patient's revocations before it was made."),
			"made_at":        moment("When it was made."),
		}},
		"Agreement": {"One consent version: terms that both sides signed.", map[string]schema{
			"consent":      consentID(),
			"version":      said("Consent version: from 1.").atLeast(1),
			"offer":        said("Number of the offer that was accepted."),
			"offer_digest": digest("SHA-256 of that offer."),
			"decision":     oneOf(said("What was agreed."), consent.Permit, consent.Deny),
			"terms":        terms(),
			"revocations":  said("The patient's revocations before the offer was made; a later one voids the agreement."),
			"offered_by":   identity("Who made the offer"),
			"accepted_by":  identity("Who accepted it"),
			"accepted_at":  moment("When it was accepted."),
		}},
		"Parties": {"", map[string]schema{
			"consent":      consentID(),
			"record":       recordID(),
			"custodian":    said("MSP identifier of the hospital that keeps the record."),
			"patient":      identity("The patient, who gives the consent"),
			"grantee":      identity("The third party, to whom it is given"),
			"requested_at": moment("When it was requested."),
		}},
		"Negotiation": {"", map[string]schema{
			"status": oneOf(said("Where the consent stands: FHIR's words."), consent.StatusDraft, consent.StatusProposed, consent.StatusActive, consent.StatusRejected,
				consent.StatusInactive, consent.StatusEnteredInError),
			"reason":      oneOf(said("Why it is inactive; empty otherwise."), "", consent.ReasonWithdrawn, consent.ReasonRevoked, consent.ReasonExpired),
			"offers":      said("Number of the newest offer."),
			"open":        said("Number of the offer that awaits an answer; 0 for none."),
			"open_by":     oneOf(said("Side that made it; empty for none."), "", consent.SidePatient, consent.SideGrantee),
			"closed":      said("How the last answered offer ended."),
			"revocations": said("The patient's revocations before the last change."),
			"agreement":   said("The newest consent version; left out before the first."),
			"changed_at":  moment("When it last changed."),
			"changed_by":  identity("Who changed it"),
		}},
		"Closing": {"How an offer ended.", map[string]schema{
			"offer": said("Number of the offer; 0 when none has been answered."),
			"by":    identity("Who answered it; empty when nobody has").orEmpty(),
			"how":   oneOf(said("Transaction that answered it; empty when none has."), "", consent.TxAccept, consent.TxReject, consent.TxWithdraw),
		}},
		"Consent": {"A consent as it stands.", map[string]schema{}},
		"Revocation": {"What the patient alone says of a consent.", map[string]schema{
			"number":           said("How often the patient revoked."),
			"entered_in_error": said("Whether the consent should never have been."),
			"at":               moment("When the patient last said so; 0 for never."),
			"by":               identity("The patient; empty before the first revocation").orEmpty(),
		}},
		"ConsentState": {"Everything the public ledger knows of a consent.", map[string]schema{
			"consent":    said("The consent as it is at the time of the query."),
			"revocation": said("What the patient alone says of it."),
			"offers":     said("The offers, oldest first."),
			"agreements": said("The consent versions, oldest first."),
		}},
		"ConsentPage": {"One page of consents.", map[string]schema{
			"consents": said("The consents as they are at the time of the query."),
			"bookmark": nextBookmark(),
		}},
	}
}

// accessObjects is what is said of accesses and the audit.
func accessObjects() map[string]object {
	purpose := func() schema {
		return oneOf(said("What the data is for: a code of HL7's PurposeOfUse."), consent.Purposes()...)
	}
	writer := func() schema { return oneOf(said("Who put the grant."), consent.Writers()...) }
	return map[string]object{
		"AccessRequest": {"Asks for one use of a consent.", map[string]schema{
			"access":  accessID(),
			"consent": consentID(),
			"record":  recordID(),
			"version": said("Number of the version."),
			"purpose": purpose(),
		}},
		"GrantRequest": {"Names the grant that comes by transient.", map[string]schema{"consent": consentID(), "version": versionNumber()}},
		"GrantInput": {"What the custodian or the patient gives to a grant; all else the chaincode knows.", map[string]schema{
			"sealed": grantSealed(),
		}},
		"ReadGrantRequest": {"Names an access.", map[string]schema{"access": accessID()}},
		"Access": {"One use of a consent, permitted or denied.", map[string]schema{
			"access":    accessID(),
			"consent":   consentID(),
			"agreement": said("Consent version that permitted it; 0 when it was denied."),
			"record":    recordID(),
			"version":   said("Number of the version."),
			"purpose":   purpose(),
			"grantee":   identity("Who asked"),
			"patient":   identity("The patient; empty when the consent is unknown").orEmpty(),
			"custodian": said("MSP identifier of the custodian; empty when the consent is unknown."),
			"decision":  oneOf(said("What was decided."), consent.Permit, consent.Deny),
			"code":      said("Code that says why it was denied; empty for a permit."),
			"at":        moment("When it was decided."),
			"tx_id":     said("Transaction that asked."),
		}},
		"Grant": {"What a grantee needs to open one version.", map[string]schema{
			"consent":   consentID(),
			"agreement": said("Consent version that it was made under."),
			"record":    recordID(),
			"version":   versionNumber(),
			"grantee":   identity("To whom it is given"),
			"sealed":    grantSealed(),
			"writer":    writer(),
		}},
		"GrantDigest": {"The public hash of a grant.", map[string]schema{
			"writer": writer(),
			"digest": digest("SHA-256 of the grant, as every peer has it."),
		}},
		"AccessListRequest": {"Pages through accesses, newest first.", map[string]schema{
			"by":        oneOf(said("Which list."), ledger.AccessesOfPatient, ledger.AccessesOfRecord, ledger.AccessesOfGrantee, ledger.AllAccesses),
			"value":     said(`Whose: "MSP/name" of a patient or grantee, identifier of a record; left out, or empty, with all.`).long(0, form.MaxIdentifier),
			"from":      moment("Only accesses from then on; left out, or 0, for no bound.").atLeast(0),
			"until":     moment("Only accesses until then, that moment included; left out, or 0, for no bound.").atLeast(0),
			"bookmark":  bookmark(),
			"page_size": pageSize(),
		}},
		"AccessPage": {"One page of accesses.", map[string]schema{"accesses": said("The accesses, newest first."), "bookmark": nextBookmark()}},
		"HistoryRequest": {"Names a key of the ledger.", map[string]schema{
			"object": said("Kind of document, as the table of keys names it, for instance consent or record."),
			"parts":  said("Parts of its key, in order; numbers without padding."),
		}},
		"Change": {"One committed value of a key.", map[string]schema{
			"tx_id":     said("Transaction that committed it."),
			"timestamp": moment("When, by the client's claim, which is within the peers' time window."),
			"deleted":   said("Whether the transaction deleted it."),
			"by":        said("Who made the change, as the document says; empty where only the transaction does."),
			"value":     said("The document as stored: JSON."),
		}},
		"History": {"The committed values of a key, oldest first.", map[string]schema{
			"key":     said("The key."),
			"entries": said("The values."),
		}},
	}
}
