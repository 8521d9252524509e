package contract

// recordTransactions lists the transactions of records, consents, accesses and
// audit.
func recordTransactions() []Transaction {
	return []Transaction{
		{recordContract, "Stage", false, "Puts the private part of a record's next version (transient field version: CID, wrapped keys, patient identifier, salt) into the custodian's collection and gives its digest. Endorsed by the custodian's peer. Caller: an officer of the custodian."},
		{recordContract, "Unstage", false, "Purges the private part of a version that was never made public. Caller: an officer of the custodian."},
		{recordContract, "Register", false, "Makes a record public with its staged version 1: kind, custodian, the patient's pseudonym, salted digest, size and holders. Also needs the endorsement of the custodian's peer. Caller: an officer of the custodian."},
		{recordContract, "AddVersion", false, "Makes the record's staged next version public; versions are never rewritten. Also needs the endorsement of the custodian's peer. Caller: an officer of the custodian."},
		{recordContract, "Deprecate", false, "Ends new versions and new consents of a record; what was consented to goes on. Also needs the endorsement of the custodian's peer. Caller: an officer of the custodian."},
		{recordContract, "RequestErasure", false, "Ends all access to a record and begins its erasure. Caller: an officer of the custodian, or the patient."},
		{recordContract, "Purge", false, "Removes everything private of a record that is being erased from the custodian's collections. Caller: an officer of the custodian, or the patient."},
		{recordContract, "AttestErasure", false, "Signs that the caller's organisation has dropped the ciphertext of every version of a record that is being erased. Caller: an officer or the coordinator of a holder."},
		{recordContract, "CompleteErasure", false, "Ends the erasure when nothing private is left and every holder has attested. Caller: an officer of the custodian, or the patient."},
		{recordContract, "Get", true, "Gives a record. Caller: anyone with a role."},
		{recordContract, "List", true, "Gives one page of the records by patient or by custodian. Caller: whose they are, or an auditor."},
		{recordContract, "ListVersions", true, "Gives one page of a record's versions, oldest first. Caller: anyone with a role."},
		{recordContract, "GetPrivate", true, "Gives the private part of a version: CID, wrapped keys, patient identifier. Evaluated on the custodian's peer. Caller: an officer of the custodian, or the patient."},
		{recordContract, "GetErasure", true, "Gives how far the erasure of a record has come: private documents left, attestations, holders that have not attested. Caller: anyone with a role."},
		{consentContract, "Request", false, "Begins a consent with the caller's first offer. Caller: a requester, who becomes the grantee."},
		{consentContract, "Counter", false, "Makes the next offer while one is open. Caller: the patient or the grantee."},
		{consentContract, "Accept", false, "Agrees to the open offer, named by number and digest, and so makes a new consent version. Caller: the side that did not make the offer."},
		{consentContract, "Reject", false, "Refuses the open offer. Caller: the side that did not make it."},
		{consentContract, "Withdraw", false, "Takes the open offer back. Caller: the side that made it."},
		{consentContract, "Revoke", false, "Ends everything agreed and offered in a consent so far; nothing the grantee does can hold it up. Caller: the patient."},
		{consentContract, "Renew", false, "Makes an offer for the next version of a consent; the version in force stays until the offer is accepted. Caller: the patient or the grantee."},
		{consentContract, "MarkEnteredInError", false, "Says that a consent should never have been; it is final. Caller: the patient."},
		{consentContract, "PutTerms", false, "Puts the private terms of an offer (transient field terms) into the custodian's grants collection, where they must match the offer's digest. Endorsed by the custodian's peer. Caller: the patient, or an officer of the custodian."},
		{consentContract, "ReadTerms", true, "Gives the private terms of an offer. Evaluated on the custodian's peer. Caller: the patient, the grantee, or an officer of the custodian."},
		{consentContract, "Get", true, "Gives everything the public ledger knows of a consent: where it stands, its offers and its versions. Caller: the patient, the grantee, an officer of the custodian, or an auditor."},
		{consentContract, "List", true, "Gives one page of the consents by patient, by grantee or by record. Caller: whose they are, or an auditor."},
		{accessContract, "RequestAccess", false, "Decides one use of a consent, fail closed, and logs the permit or the denial with its code; a denial is a success of this transaction. Caller: a requester."},
		{accessContract, "PutGrant", false, "Puts the CID and the key wrapped for the grantee (transient field grant) into the custodian's grants collection. Endorsed by the custodian's peer. Caller: an officer of the custodian, or the patient."},
		{accessContract, "PurgeGrants", false, "Removes the grants and private terms of a consent that permits nothing any more. Caller: an officer of the custodian, or the patient."},
		{accessContract, "ReadGrant", true, "Gives the CID and the wrapped key of a permitted access, as long as the consent still permits it. Evaluated on the custodian's peer. Caller: the grantee who requested the access."},
		{accessContract, "GetGrantDigests", true, "Gives the public hashes of an access's grants, to check on a trusted peer what the custodian's peer answered. Caller: the grantee who requested the access."},
		{accessContract, "Get", true, "Gives one access. Caller: its grantee, its patient, an officer of its custodian, or an auditor."},
		{auditContract, "ListAccesses", true, "Gives one page of accesses, permitted and denied, newest first, by patient, record, grantee or all, within bounds of time. Caller: whose they are, or an auditor."},
		{auditContract, "History", true, "Gives every committed value of any key of the ledger, oldest first, with who, when and transaction. Caller: an auditor."},
	}
}
