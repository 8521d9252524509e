package contract

import (
	"reflect"
	"strings"
	"testing"
)

func oneTwin() reflect.Type {
	type Twin struct {
		Shared string `json:"shared"`
	}
	return reflect.TypeFor[Twin]()
}

func otherTwin() reflect.Type {
	type Twin struct {
		Shared string `json:"shared"`
	}
	return reflect.TypeFor[Twin]()
}

func TestNamesThatCollideAndTablesThatDoNotFitAreFound(t *testing.T) {
	type lonely struct {
		Undescribed int          `json:"undescribed"`
		Anything    map[int]bool `json:"anything"`
	}
	s := newSchemas(map[string]object{
		"Twin":   {"A twin.", map[string]schema{"shared": said("What both have."), "other": said("What neither has.")}},
		"Nobody": {"Described and not there.", map[string]schema{"nothing": said("Nothing.")}},
		"lonely": {"", map[string]schema{"anything": said("Of no type that a schema has.")}},
	})
	for _, t := range []reflect.Type{oneTwin(), oneTwin(), otherTwin(), reflect.TypeFor[lonely]()} {
		s.of(t, false)
	}
	s.leftOver(map[string]example{"task:Nothing": {}, "task:GetTask": {}})
	want := []string{
		"contract.Twin and contract.Twin are both called Twin",
		"lonely has no description",
		"lonely.undescribed has no description",
		"a schema can't be made of a map[int]bool",
		"Nobody is described and not used",
		"Nobody.nothing is described and not used",
		"Twin.other is described and not used",
		"task:Nothing has an example and is no transaction",
	}
	if got := strings.Join(s.faults, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
