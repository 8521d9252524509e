package consent

import "slices"

// Purposes lists the codes of HL7's value set PurposeOfUse (code system
// v3-ActReason), sorted. A consent names those it is given for; a use must name
// one of them exactly: a broader code does not take its narrower ones with it.
func Purposes() []string {
	return []string{
		"BIORCH", "BTG", "CAREMGT", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "CLINTRL", "CLMATTCH",
		"COC", "COVAUTH", "COVERAGE", "DISASTER", "DONAT", "DSRCH", "ELIGDTRM", "ELIGVER", "ENROLLM",
		"ERTREAT", "ETREAT", "FAMRQT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM",
		"HLEGAL", "HMARKT", "HOPERAT", "HOUTCOMS", "HPAYMT", "HPRGRP", "HQUALIMP", "HRESCH", "HSYSADMIN",
		"HTEST", "LABELING", "MEMADMIN", "METAMGT", "MILCDM", "MILDCRG", "PATADMIN", "PATRQT", "PATSFTY",
		"PERFMSR", "POARCH", "POPHLTH", "PRECLINTRCH", "PUBHLTH", "PWATRNY", "RECORDMGT", "REMITADV",
		"SUPNWK", "SYSDEV", "THREAT", "TRAIN", "TRANSRCH", "TREAT",
	}
}

// IsPurpose reports whether a code is one of Purposes.
func IsPurpose(code string) bool { return slices.Contains(Purposes(), code) }
