package fhir

import (
	"strings"
)

// shared are the element tables of the data types that a Consent is made of, as
// they are in both releases: element, cardinality, types. A code's required
// binding follows its type in brackets, a reference's targets in parentheses;
// name[x] is a choice of types. A type's name stands alone on its line. Sources:
// https://hl7.org/fhir/R4/datatypes.html, https://hl7.org/fhir/R5/datatypes.html.
const shared = `
Element
  id 0..1 string
  extension 0..* Extension
BackboneElement < Element
  modifierExtension 0..* Extension
Extension < Element
  url 1..1 uri
  value[x] 0..1 *
Narrative < Element
  status 1..1 code[generated|extensions|additional|empty]
  div 1..1 xhtml
Meta < Element
  versionId 0..1 id
  lastUpdated 0..1 instant
  source 0..1 uri
  profile 0..* canonical
  security 0..* Coding
  tag 0..* Coding
Coding < Element
  system 0..1 uri
  version 0..1 string
  code 0..1 code
  display 0..1 string
  userSelected 0..1 boolean
CodeableConcept < Element
  coding 0..* Coding
  text 0..1 string
Period < Element
  start 0..1 dateTime
  end 0..1 dateTime
Identifier < Element
  use 0..1 code[usual|official|temp|secondary|old]
  type 0..1 CodeableConcept
  system 0..1 uri
  value 0..1 string
  period 0..1 Period
  assigner 0..1 Reference(Organization)
Reference < Element
  reference 0..1 string
  type 0..1 uri
  identifier 0..1 Identifier
  display 0..1 string
`

// tableR4 are the elements of R4's Consent and of the types that R5 changed.
const tableR4 = `
Attachment < Element
  contentType 0..1 code
  language 0..1 code
  data 0..1 base64Binary
  url 0..1 url
  size 0..1 unsignedInt
  hash 0..1 base64Binary
  title 0..1 string
  creation 0..1 dateTime
Consent < BackboneElement
  resourceType 1..1 code[Consent]
  id 0..1 id
  meta 0..1 Meta
  implicitRules 0..1 uri
  language 0..1 code
  text 0..1 Narrative
  contained 0..* Resource
  identifier 0..* Identifier
  status 1..1 code[draft|proposed|active|rejected|inactive|entered-in-error]
  scope 1..1 CodeableConcept
  category 1..* CodeableConcept
  patient 0..1 Reference(Patient)
  dateTime 0..1 dateTime
  performer 0..* Reference(Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)
  organization 0..* Reference(Organization)
  source[x] 0..1 Attachment|Reference(Consent|DocumentReference|Contract|QuestionnaireResponse)
  policy 0..* Consent.policy
  policyRule 0..1 CodeableConcept
  verification 0..* Consent.verification
  provision 0..1 Consent.provision
Consent.policy < BackboneElement
  authority 0..1 uri
  uri 0..1 uri
Consent.verification < BackboneElement
  verified 1..1 boolean
  verifiedWith 0..1 Reference(Patient|RelatedPerson)
  verificationDate 0..1 dateTime
Consent.provision < BackboneElement
  type 0..1 code[deny|permit]
  period 0..1 Period
  actor 0..* Consent.provision.actor
  action 0..* CodeableConcept
  securityLabel 0..* Coding
  purpose 0..* Coding
  class 0..* Coding
  code 0..* CodeableConcept
  dataPeriod 0..1 Period
  data 0..* Consent.provision.data
  provision 0..* Consent.provision
Consent.provision.actor < BackboneElement
  role 1..1 CodeableConcept
  reference 1..1 Reference(Device|Group|CareTeam|Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)
Consent.provision.data < BackboneElement
  meaning 1..1 code[instance|related|dependents|authoredby]
  reference 1..1 Reference
`

// tableR5 are the elements of R5's Consent and of the types that R5 changed.
const tableR5 = `
Attachment < Element
  contentType 0..1 code
  language 0..1 code
  data 0..1 base64Binary
  url 0..1 url
  size 0..1 integer64
  hash 0..1 base64Binary
  title 0..1 string
  creation 0..1 dateTime
  height 0..1 positiveInt
  width 0..1 positiveInt
  frames 0..1 positiveInt
  duration 0..1 decimal
  pages 0..1 positiveInt
Expression < Element
  description 0..1 string
  name 0..1 code
  language 0..1 code
  expression 0..1 string
  reference 0..1 uri
Consent < BackboneElement
  resourceType 1..1 code[Consent]
  id 0..1 id
  meta 0..1 Meta
  implicitRules 0..1 uri
  language 0..1 code
  text 0..1 Narrative
  contained 0..* Resource
  identifier 0..* Identifier
  status 1..1 code[draft|active|inactive|not-done|entered-in-error|unknown]
  category 0..* CodeableConcept
  subject 0..1 Reference(Patient|Practitioner|Group)
  date 0..1 date
  period 0..1 Period
  grantor 0..* Reference(CareTeam|HealthcareService|Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)
  grantee 0..* Reference(CareTeam|HealthcareService|Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)
  manager 0..* Reference(HealthcareService|Organization|Patient|Practitioner)
  controller 0..* Reference(HealthcareService|Organization|Patient|Practitioner)
  sourceAttachment 0..* Attachment
  sourceReference 0..* Reference(Consent|DocumentReference|Contract|QuestionnaireResponse)
  regulatoryBasis 0..* CodeableConcept
  policyBasis 0..1 Consent.policyBasis
  policyText 0..* Reference(DocumentReference)
  verification 0..* Consent.verification
  decision 0..1 code[deny|permit]
  provision 0..* Consent.provision
Consent.policyBasis < BackboneElement
  reference 0..1 Reference
  url 0..1 url
Consent.verification < BackboneElement
  verified 1..1 boolean
  verificationType 0..1 CodeableConcept
  verifiedBy 0..1 Reference(Organization|Practitioner|PractitionerRole)
  verifiedWith 0..1 Reference(Patient|RelatedPerson)
  verificationDate 0..* dateTime
Consent.provision < BackboneElement
  period 0..1 Period
  actor 0..* Consent.provision.actor
  action 0..* CodeableConcept
  securityLabel 0..* Coding
  purpose 0..* Coding
  documentType 0..* Coding
  resourceType 0..* Coding
  code 0..* CodeableConcept
  dataPeriod 0..1 Period
  data 0..* Consent.provision.data
  expression 0..1 Expression
  provision 0..* Consent.provision
Consent.provision.actor < BackboneElement
  role 0..1 CodeableConcept
  reference 0..1 Reference(Device|Group|CareTeam|Organization|Patient|Practitioner|RelatedPerson|PractitionerRole)
Consent.provision.data < BackboneElement
  meaning 1..1 code[instance|related|dependents|authoredby]
  reference 1..1 Reference
`

// opaqueTypes are the data types that an extension may have besides those of the
// tables. Validate only asks that they are objects.
const opaqueTypes = `Address Age Annotation ContactPoint Count Distance Duration HumanName Money Quantity
Range Ratio RatioRange SampledData Signature Timing ContactDetail Contributor DataRequirement Expression
ParameterDefinition RelatedArtifact TriggerDefinition UsageContext Availability ExtendedContactDetail
CodeableReference VirtualServiceDetail MonetaryComponent Dosage Meta`

// element is one line of a table.
type element struct {
	name     string // of the property; a choice has one element for each of its types
	choice   string // name of the choice without [x], "" for none
	required bool
	many     bool
	kind     string
	codes    []string // required binding, nil for none
	targets  []string // of a reference, nil for any
}

// tables are the element tables of one release: type, then its elements.
type tables map[string][]element

func tablesOf(release Release) tables {
	if release == R5 {
		return tablesForR5
	}
	return tablesForR4
}

var (
	tablesForR4 = readTables(shared + tableR4)
	tablesForR5 = readTables(shared + tableR5)
)

func readTables(text string) tables {
	t := tables{}
	name := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case line[0] != ' ':
			name = words[0]
			t[name] = nil
			if len(words) == 3 {
				t[name] = append(t[name], t[words[2]]...)
			}
		default:
			t[name] = replaced(t[name], readElement(words[0], words[1], words[2]))
		}
	}
	return t
}

// replaced adds elements, each in the place of an inherited one of its name.
func replaced(list, more []element) []element {
	for _, e := range more {
		for i := range list {
			if list[i].name == e.name {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		list = append(list, e)
	}
	return list
}

func readElement(name, cardinality, kinds string) []element {
	e := element{name: name, required: cardinality[0] == '1', many: strings.HasSuffix(cardinality, "*")}
	choice, isChoice := strings.CutSuffix(name, "[x]")
	var list []element
	for _, kind := range splitTypes(kinds) {
		one := e
		one.kind, one.codes, one.targets = readType(kind)
		if isChoice {
			one.choice, one.required, one.name = choice, false, choice+strings.ToUpper(one.kind[:1])+one.kind[1:]
		}
		list = append(list, one)
	}
	return list
}

// splitTypes cuts at the bars outside parentheses and brackets; * stands for
// every type an extension may have.
func splitTypes(kinds string) []string {
	if kinds == "*" {
		all := strings.Fields(opaqueTypes + " Attachment Coding CodeableConcept Period Identifier Reference")
		for name := range primitives {
			if name != "xhtml" {
				all = append(all, name)
			}
		}
		return all
	}
	var list []string
	depth, from := 0, 0
	for i, c := range kinds {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case '|':
			if depth == 0 {
				list = append(list, kinds[from:i])
				from = i + 1
			}
		}
	}
	return append(list, kinds[from:])
}

func readType(kind string) (name string, codes, targets []string) {
	if i := strings.IndexByte(kind, '['); i > 0 {
		return kind[:i], strings.Split(kind[i+1:len(kind)-1], "|"), nil
	}
	if i := strings.IndexByte(kind, '('); i > 0 {
		return kind[:i], nil, strings.Split(kind[i+1:len(kind)-1], "|")
	}
	return kind, nil, nil
}
