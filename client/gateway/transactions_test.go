package gateway

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/chaincode/fl"
)

// served are the chaincode's transactions as its contracts serve them: names and
// tags from its own table, which its metadata is made of, types from the methods.
func served(t *testing.T) []row {
	t.Helper()
	methods := map[string]reflect.Type{}
	for name, c := range map[string]any{
		"task": contract.NewTaskContract(), "round": contract.NewRoundContract(), "record": contract.NewRecordContract(),
		"directory": contract.NewDirectoryContract(), "consent": contract.NewConsentContract(), "access": contract.NewAccessContract(),
		"audit": contract.NewAuditContract(),
	} {
		value := reflect.ValueOf(c)
		for i := range value.NumMethod() {
			methods[name+":"+value.Type().Method(i).Name] = value.Method(i).Type()
		}
	}
	var all []row
	for _, listed := range contract.Transactions() {
		r := row{name: listed.Contract + ":" + listed.Name, evaluated: listed.Evaluate, custodian: listed.AtCustodian, field: listed.Transient}
		method, found := methods[r.name]
		if !found {
			t.Fatalf("no contract has a method for %s", r.name)
		}
		r.request, r.response = method.In(1), method.Out(0)
		if r.response.Kind() == reflect.Pointer {
			r.response = r.response.Elem()
		}
		all = append(all, r)
	}
	return all
}

// disagreements says where a client's table is not the chaincode's.
func disagreements(client, chaincode []row) []string {
	byName := map[string]row{}
	var found []string
	for _, r := range client {
		if _, twice := byName[r.name]; twice {
			found = append(found, r.name+" is in the table twice")
		}
		byName[r.name] = r
	}
	for _, want := range chaincode {
		got, there := byName[want.name]
		delete(byName, want.name)
		switch {
		case !there:
			found = append(found, want.name+" is missing")
		case got.evaluated != want.evaluated:
			found = append(found, fmt.Sprintf("%s: evaluated is %v, want %v", want.name, got.evaluated, want.evaluated))
		case got.custodian != want.custodian:
			found = append(found, fmt.Sprintf("%s: by the custodian's peer alone is %v, want %v", want.name, got.custodian, want.custodian))
		case got.field != want.field:
			found = append(found, fmt.Sprintf("%s sends its private part in %q, want %q", want.name, got.field, want.field))
		case got.request != want.request:
			found = append(found, fmt.Sprintf("%s is asked with %v, want %v", want.name, got.request, want.request))
		case got.response != want.response:
			found = append(found, fmt.Sprintf("%s answers %v, want %v", want.name, got.response, want.response))
		}
	}
	for name := range byName {
		found = append(found, name+" is no transaction of the chaincode")
	}
	return found
}

func TestTheTableIsTheChaincodes(t *testing.T) {
	for _, d := range disagreements(rows, served(t)) {
		t.Error(d)
	}
}

// A fault in any row, of any kind, is found.
func TestAFaultInTheTableIsFound(t *testing.T) {
	chaincode := served(t)
	for i := range rows {
		for what, spoil := range map[string]func(*row){
			"name":     func(r *row) { r.name += "s" },
			"form":     func(r *row) { r.evaluated = !r.evaluated },
			"peers":    func(r *row) { r.custodian = !r.custodian },
			"field":    func(r *row) { r.field += "s" },
			"request":  func(r *row) { r.request = reflect.TypeFor[int]() },
			"response": func(r *row) { r.response = reflect.SliceOf(r.response) },
		} {
			spoilt := append([]row{}, rows...)
			spoil(&spoilt[i])
			if len(disagreements(spoilt, chaincode)) == 0 {
				t.Errorf("%s with another %s is not found", rows[i].name, what)
			}
		}
	}
	if len(disagreements(rows[1:], chaincode)) == 0 || len(disagreements(append(rows[:1:1], rows...), chaincode)) == 0 {
		t.Error("a row that is missing, or there twice, is not found")
	}
}

// recorder is a PrivateCaller that only notes what is called.
type recorder struct{ called []string }

func (r *recorder) Submit(_ context.Context, name string, _, _ any) error {
	r.called = append(r.called, name)
	return nil
}

func (r *recorder) Evaluate(ctx context.Context, name string, request, result any) error {
	return r.Submit(ctx, name, request, result)
}

func (r *recorder) SubmitPrivate(ctx context.Context, _, name string, request any, _ map[string]any, result any) error {
	return r.Submit(ctx, name, request, result)
}

func (r *recorder) EvaluateAt(ctx context.Context, _, name string, request, result any) error {
	return r.Submit(ctx, name, request, result)
}

func (r *recorder) Await(context.Context, string, string) error { return nil }

// A row without a method could be called by nobody; a method with another row
// would carry out another transaction than it says.
func TestEveryTransactionHasTheMethodOfItsName(t *testing.T) {
	recorded := &recorder{}
	contracts := reflect.ValueOf(ContractsOf(recorded))
	for _, r := range rows {
		name, transaction, _ := strings.Cut(r.name, ":")
		field := map[string]string{
			"task": "Tasks", "round": "Rounds", "record": "Records", "directory": "Directory", "consent": "Consents", "access": "Accesses", "audit": "Audit",
		}[name]
		method := contracts.FieldByName(field).MethodByName(transaction)
		if !method.IsValid() {
			t.Errorf("%s has no method", r.name)
			continue
		}
		recorded.called = nil
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < method.Type().NumIn(); i++ {
			arguments = append(arguments, reflect.Zero(method.Type().In(i)))
		}
		answer := method.Call(arguments)
		if len(answer) == 1 { // a list: it is asked for when it is read
			for range answer[0].Seq2() {
			}
		}
		if len(recorded.called) != 1 || recorded.called[0] != r.name {
			t.Errorf("%s.%s calls %q", field, transaction, recorded.called)
		}
	}
}

// listing answers task:ListTasks with pages of some lengths.
type listing struct {
	recorder
	lengths []int
	fail    error
	asked   []string // bookmarks
}

func (l *listing) Evaluate(_ context.Context, _ string, request, result any) error {
	bookmark := request.(fl.ListRequest).Bookmark
	l.asked = append(l.asked, bookmark)
	page := result.(*fl.TaskPage)
	if len(l.asked) > len(l.lengths) {
		return l.fail
	}
	for range l.lengths[len(l.asked)-1] {
		page.Tasks = append(page.Tasks, fl.Task{})
	}
	if len(l.asked) < len(l.lengths) || l.fail != nil {
		page.Bookmark = fmt.Sprint(len(l.asked))
	}
	return nil
}

func TestPagesAreOneList(t *testing.T) {
	for _, lengths := range [][]int{{0}, {1}, {2, 3}, {1, 0, 2}} {
		l, want := &listing{lengths: lengths}, 0
		for _, n := range lengths {
			want += n
		}
		all, err := Collect(Tasks{l}.ListTasks(t.Context()))
		if err != nil || all == nil || len(all) != want {
			t.Errorf("pages of %v gave %d items, %v", lengths, len(all), err)
		}
		for i, bookmark := range l.asked {
			if bookmark != "" && bookmark != fmt.Sprint(i) || (bookmark == "") != (i == 0) {
				t.Errorf("pages of %v were asked for with %q", lengths, l.asked)
			}
		}
	}
}

func TestAListEndsWithItsError(t *testing.T) {
	l := &listing{lengths: []int{2}, fail: context.DeadlineExceeded}
	if all, err := Collect(Tasks{l}.ListTasks(t.Context())); err != context.DeadlineExceeded || all != nil {
		t.Errorf("%d items, %v", len(all), err)
	}
}

func TestAListIsReadNoFurtherThanItIsWanted(t *testing.T) {
	l := &listing{lengths: []int{1, 1, 1}}
	for range (Tasks{l}).ListTasks(t.Context()) {
		break
	}
	if len(l.asked) != 1 {
		t.Errorf("%d pages were asked for, for one item", len(l.asked))
	}
}
