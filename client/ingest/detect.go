package ingest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"image"
	_ "image/jpeg" // registers the format
	_ "image/png"  // registers the format
	"io"
	"unicode/utf8"

	"github.com/medfed/medfed/chaincode/codes"
)

// The media types of what is ingested.
const (
	TypeFHIR = "application/fhir+json"
	TypePNG  = "image/png"
	TypeJPEG = "image/jpeg"
	TypePDF  = "application/pdf"
	TypeCSV  = "text/csv"
)

// Detect tells a file's media type by its content: a whole FHIR bundle in JSON, a
// PNG or JPEG image with its end, a PDF with its end, or a CSV series whose rows
// all have the header's columns. It reads with bounded memory. Anything else, an
// unfinished file too, is MF-INGEST-TYPE.
func Detect(file io.ReadSeeker, size int64) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", unreadable(err)
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", unreadable(err)
	}
	head = head[:n]
	tail, err := tailOf(file, size)
	if err != nil {
		return "", unreadable(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", unreadable(err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return imageType(file, TypePNG, bytes.HasSuffix(tail, []byte("IEND\xaeB`\x82")))
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return imageType(file, TypeJPEG, bytes.HasSuffix(tail, []byte("\xff\xd9")))
	case bytes.HasPrefix(head, []byte("%PDF-")):
		if !bytes.Contains(tail, []byte("%%EOF")) {
			return "", damaged("the PDF has no end")
		}
		return TypePDF, nil
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")):
		return bundleType(file)
	default:
		return seriesType(file, head)
	}
}

// tailOf is the end of a file.
func tailOf(file io.ReadSeeker, size int64) ([]byte, error) {
	const most = 1024
	if _, err := file.Seek(max(0, size-most), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, most))
}

func imageType(file io.Reader, contentType string, whole bool) (string, error) {
	if !whole {
		return "", damaged("the image has no end")
	}
	if _, _, err := image.DecodeConfig(file); err != nil {
		return "", damaged("the image has no readable header")
	}
	return contentType, nil
}

// bundleType reads JSON token by token and asks for a FHIR Bundle.
func bundleType(file io.Reader) (string, error) {
	decoder := json.NewDecoder(file)
	depth, isKey, bundle, named, ended := 0, false, false, false, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			break
		}
		if err != nil || ended {
			return "", damaged("it is no whole JSON object")
		}
		if depth == 1 && isKey && named {
			bundle = token == "Bundle"
		}
		named = depth == 1 && !isKey && token == "resourceType"
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			isKey = false
		case json.Delim('}'), json.Delim(']'):
			depth--
			isKey, ended = false, depth == 0
		default:
			if depth == 1 {
				isKey = !isKey
			}
		}
	}
	if !bundle {
		return "", damaged("the JSON is no FHIR Bundle")
	}
	return TypeFHIR, nil
}

// seriesType asks for a header and rows with as many columns, two at least.
func seriesType(file io.Reader, head []byte) (string, error) {
	if bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(head[:max(0, len(head)-utf8.UTFMax)]) {
		return "", damaged("it is neither a FHIR bundle nor an image, a PDF or a CSV series")
	}
	reader := csv.NewReader(&lines{r: file})
	reader.ReuseRecord = true
	rows := 0
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(row) < 2 {
			return "", damaged("it is no CSV series with the same two columns or more in every row")
		}
		rows++
	}
	if rows < 2 {
		return "", damaged("the CSV series has no rows below its header")
	}
	return TypeCSV, nil
}

// lines refuses a text with a line that is too long to be held in memory.
type lines struct {
	r    io.Reader
	line int
}

const maxLine = 1 << 20

func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for _, b := range p[:n] {
		if l.line++; b == '\n' {
			l.line = 0
		}
		if l.line > maxLine {
			return 0, damaged("a line is too long")
		}
	}
	return n, err
}

func damaged(what string) error {
	return codes.Errorf("MF-INGEST-TYPE", "the file is not ingested: %s; write FHIR bundles, PNG, JPEG, PDF or CSV, each whole", what)
}
