module github.com/tensmith/tensmith

go 1.26
