package fhir

import (
	"fmt"
	"strings"
	"unicode"
)

// Field is one leaf of a resource and where it went: to a field of medfed's, or
// nowhere, and why.
type Field struct {
	Path string `json:"path"`          // FHIRPath
	To   string `json:"to,omitempty"`  // field of Imported, or "implied" for what every medfed consent says
	Why  string `json:"why,omitempty"` // why medfed can't hold it
}

// implied marks what is true of every consent of medfed.
const implied = "implied"

// ledgerOf keeps, for every leaf of a resource, where it went.
type ledgerOf struct {
	leaves []string // paths in the order of the resource's sorted names
	fate   map[string]Field
}

// cursor is a place in a resource.
type cursor struct {
	path   string
	value  any
	fields *ledgerOf
}

// read makes a cursor at the root and notes every leaf.
func read(root map[string]any) cursor {
	c := cursor{"Consent", root, &ledgerOf{fate: map[string]Field{}}}
	c.leaves(func(path string) { c.fields.leaves = append(c.fields.leaves, path) })
	return c
}

// leaves visits the path of every value below, or of this place if it is one.
func (c cursor) leaves(visit func(path string)) {
	switch value := c.value.(type) {
	case map[string]any:
		for _, name := range sortedKeys(value) {
			c.get(name).leaves(visit)
		}
	case []any:
		for i := range value {
			c.item(i).leaves(visit)
		}
	case nil:
	default:
		visit(c.path)
	}
}

// get gives the element of a name, a cursor without value where it is absent.
func (c cursor) get(name string) cursor {
	object, _ := c.value.(map[string]any)
	return cursor{c.path + "." + fhirPath(name), object[name], c.fields}
}

// items gives the values of an element: each of a list, or the one there is.
func (c cursor) items(name string) []cursor {
	at := c.get(name)
	list, ok := at.value.([]any)
	if !ok {
		if at.value == nil {
			return nil
		}
		return []cursor{at}
	}
	var all []cursor
	for i := range list {
		all = append(all, at.item(i))
	}
	return all
}

// item is one value of the list here.
func (c cursor) item(i int) cursor {
	return cursor{fmt.Sprintf("%s[%d]", c.path, i), c.value.([]any)[i], c.fields}
}

// text is the string here, "" for none.
func (c cursor) text() string {
	text, _ := c.value.(string)
	return text
}

func (c cursor) present() bool { return c.value != nil }

// mapped notes that all below went to a field of medfed's.
func (c cursor) mapped(to string) { c.note(Field{To: to}) }

// unmapped notes that medfed has no place for what is below.
func (c cursor) unmapped(why string) { c.note(Field{Why: why}) }

// note keeps the first thing that is said of a leaf.
func (c cursor) note(f Field) {
	if !c.present() {
		return
	}
	c.leaves(func(path string) {
		if _, said := c.fields.fate[path]; !said {
			f.Path = path
			c.fields.fate[path] = f
		}
	})
}

// fhirPath writes a property's name as FHIRPath does: a value of a choice by its
// type, what belongs to a primitive value itself below it.
func fhirPath(name string) string {
	if side, ok := strings.CutPrefix(name, "_"); ok {
		return fhirPath(side)
	}
	for _, choice := range []string{"value", "source"} {
		kind, ok := strings.CutPrefix(name, choice)
		if !ok || kind == "" || !unicode.IsUpper(rune(kind[0])) {
			continue
		}
		if lower := strings.ToLower(kind[:1]) + kind[1:]; primitives[lower] != nil {
			kind = lower
		}
		return choice + ".ofType(" + kind + ")"
	}
	return name
}
