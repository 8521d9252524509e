package network

import (
	"bytes"
	"embed"
	"encoding/json"
	"text/template"
)

// templates are the configuration files of the servers and tools. In them, q
// writes a value as JSON, which YAML reads whatever characters it holds.
//
//go:embed templates
var templates embed.FS

// render fills a template.
func render(name string, data any) ([]byte, error) {
	quote := func(v any) (string, error) {
		raw, err := json.Marshal(v)
		return string(raw), err
	}
	t, err := template.New(name).Funcs(template.FuncMap{"q": quote}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, data)
	return out.Bytes(), err
}

// writeRendered fills a template into a file.
func (n *Network) writeRendered(path, name string, data any) error {
	content, err := render(name, data)
	if err != nil {
		return err
	}
	if err := writeFile(path, content, 0o600); err != nil {
		return n.stateError(err)
	}
	return nil
}
