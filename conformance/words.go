package conformance

import (
	"errors"
	"strings"
)

// Words splits a command line for [Grader.Args], the same way on every system:
// at spaces and tabs, save between quotes. Between single quotes everything
// stands for itself; between double quotes a backslash does, unless a double
// quote or a backslash follows; outside quotes a backslash is a plain letter, as
// Windows' paths need it. Quoted and plain pieces that touch are one word.
func Words(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && i+1 < len(command) && (command[i+1] == '"' || command[i+1] == '\\'):
			i++
			word.WriteByte(command[i])
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("conformance: a quote in the command is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
