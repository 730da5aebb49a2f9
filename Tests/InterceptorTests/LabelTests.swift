import Contract
import Testing

@testable import Interceptor

// Labels: their names, the patterns that select them, and what guards on them stop.

private let labels = ["pii.email", "pii.name", "secret.token", "secret"]

/// id, email (pii.email), note; name and nick carry pii.name, token secret.token.
private let people = TestObject(
  oid: 200, name: "shop.people", columns: ["id", "email", "note", "name", "nick", "token"],
  labels: [
    TestLabel(number: 0, column: 2, label: "pii.email"), TestLabel(number: 1, column: 4, label: "pii.name"),
    TestLabel(number: 1, column: 5, label: "pii.name"), TestLabel(number: 2, column: 6, label: "secret.token"),
  ])
private let plain = TestObject(oid: 201, name: "shop.plain", columns: ["id", "email"])

private let read = WARDEN_CLASS_READ
private let insert = WARDEN_CLASS_INSERT
private let update = WARDEN_CLASS_UPDATE

private func on(
  _ classes: WardenClasses, _ command: String = "X", of object: TestObject = people, read: [Int16] = [],
  written: [Int16] = [], inserted: [Int16] = [], updated: [Int16] = []
) -> TestStatement {
  TestStatement(
    command: command,
    accesses: [
      TestAccess(object: object, classes: classes, read: read, written: written, inserted: inserted, updated: updated)
    ])
}

private func labelled(_ pattern: String, _ statements: [String]) -> TestGuard {
  TestGuard(statements: statements, objects: [Pattern("label:\(pattern)")])
}

extension PolicyTests {
  @Suite struct LabelTests {
    struct Case: Sendable, CustomTestStringConvertible {
      let testDescription: String
      let guards: [TestGuard]
      let statement: TestStatement
      /// The column that the refusal names; nil: the statement passes.
      let refused: String?

      init(_ name: String, _ guards: [TestGuard], _ statement: TestStatement, refused: String? = nil) {
        testDescription = name
        self.guards = guards
        self.statement = statement
        self.refused = refused
      }
    }

    @Test(arguments: [
      Case("read", [labelled("pii.email", ["read"])], on(read, read: [1, 2]), refused: "email"),
      Case("whole row", [labelled("pii.*", ["read"])], on(read, read: [-1, 0]), refused: "email"),
      Case("read of others", [labelled("pii.*", ["read"])], on(read, read: [1, 3, 6])),
      Case("no column at all", [labelled("pii.*", ["read"])], on(read)),
      Case("second column of a label", [labelled("pii.name", ["read"])], on(read, read: [5]), refused: "nick"),
      Case("other label", [labelled("pii.phone", ["all"])], on(read, read: [0])),
      Case("prefix of a word is no prefix", [labelled("pi.*", ["all"])], on(read, read: [0])),
      Case("every label", [labelled("*", ["read"])], on(read, read: [6]), refused: "token"),
      Case("table without labels", [labelled("*", ["all"])], on(read | update, of: plain, read: [0], written: [2])),
      Case("update", [labelled("secret.*", ["update"])], on(update, updated: [6]), refused: "token"),
      Case("update of another column", [labelled("secret.*", ["update"])], on(update, read: [6], updated: [3])),
      Case("write", [labelled("secret.*", ["write"])], on(insert, inserted: [1, 6]), refused: "token"),
      Case("insert that leaves it out", [labelled("secret.*", ["write"])], on(insert, inserted: [1, 3])),
      Case(
        "upsert inserts it, updates another", [labelled("secret.*", ["update"])],
        on(insert | update, written: [3, 6], inserted: [6], updated: [3])),
      Case(
        "upsert updates it, inserts another", [labelled("secret.*", ["update"])],
        on(insert | update, written: [1, 6], inserted: [1], updated: [6]), refused: "token"),
      Case(
        "upsert updates it: not its insert", [labelled("secret.*", ["insert"])],
        on(insert | update, written: [1, 6], inserted: [1], updated: [6])),
      Case(
        "merge", [labelled("secret.*", ["merge"])],
        on(WARDEN_CLASS_MERGE | insert | update, written: [1, 6], inserted: [1], updated: [6]), refused: "token"),
      Case(
        "COPY in", [labelled("secret.*", ["copy_in"])], on(insert | WARDEN_CLASS_COPY_IN, written: [0]),
        refused: "token"),
      Case(
        "COPY out", [labelled("pii.*", ["copy_out"])], on(read | WARDEN_CLASS_COPY_OUT, read: [2]), refused: "email"),
      Case("COPY out of others", [labelled("pii.*", ["copy_out"])], on(read | WARDEN_CLASS_COPY_OUT, read: [1])),
      Case("delete takes every column", [labelled("secret.*", ["delete"])], on(WARDEN_CLASS_DELETE), refused: "token"),
      Case("drop", [labelled("pii.*", ["drop"])], on(WARDEN_CLASS_DROP), refused: "email"),
      Case("truncate", [labelled("secret.*", ["truncate"])], on(WARDEN_CLASS_TRUNCATE), refused: "token"),
      Case(
        "drop column", [labelled("secret.*", ["drop_column"])],
        on(WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN, written: [6]), refused: "token"),
      Case(
        "drop of another column", [labelled("secret.*", ["drop_column", "alter"])],
        on(WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN, written: [3])),
      Case("alter of the table", [labelled("secret.*", ["alter"])], on(WARDEN_CLASS_ALTER), refused: "token"),
      Case(
        "grant on a column", [labelled("secret.*", ["grant"])], on(WARDEN_CLASS_GRANT, written: [6]), refused: "token"),
      Case("grant on another", [labelled("secret.*", ["grant"])], on(WARDEN_CLASS_GRANT, written: [2])),
      Case("index on another", [labelled("secret.*", ["create"])], on(WARDEN_CLASS_CREATE, written: [2])),
      Case("comment on another", [labelled("secret.*", ["ddl"])], on(WARDEN_CLASS_OTHER_DDL, written: [2])),
      Case("tag", [labelled("pii.*", ["SELECT"])], on(read, "SELECT", read: [2]), refused: "email"),
      Case("tag, other column", [labelled("pii.*", ["SELECT"])], on(read, "SELECT", read: [3])),
      Case(
        "leave for one label is none for another",
        [
          labelled("*", ["read"]),
          TestGuard(name: "leave", action: "allow", statements: ["read"], objects: ["label:pii.*"], priority: -1),
        ], on(read, read: [2]), refused: "email"),
    ])
    func guards(_ scenario: Case) {
      #expect(load(scenario.guards, labels: labels))
      let outcome = scenario.statement.decide()
      #expect(outcome.action == (scenario.refused == nil ? WARDEN_ACTION_ALLOW : WARDEN_ACTION_BLOCK))
      guard let column = scenario.refused else { return }
      #expect(outcome.guardName == "g" && outcome.state == "42501")
      #expect(outcome.message?.contains("shop.people.\(column) ") == true, "\(outcome.message ?? "")")
    }

    @Test func `leave of a higher priority`() {
      let leave = TestGuard(
        name: "leave", action: "allow", statements: ["read"], objects: ["label:pii.email"], priority: 1)
      #expect(load([labelled("*", ["read"]), leave], labels: labels))
      #expect(on(read, read: [2]).decide().guardName == "leave")
      #expect(on(read, read: [6]).decide().guardName == "g")
    }

    /// Of ten thousand guards for labels only those count that the table's labels select.
    @Test func `many guards on labels`() {
      let many = (0..<10_000).map { number in
        TestGuard(name: "g\(number)", statements: ["read"], objects: [Pattern("label:x.l\(number)")])
      }
      #expect(load(many + [labelled("pii.*", ["read"])], labels: labels))
      #expect(on(read, read: [2]).decide().guardName == "g")
    }

    /// Facts from outside may say anything: numbers that no label has, columns that are not there, no order.
    @Test func `numbers that make no sense`() {
      #expect(load([labelled("*", ["all"])], labels: labels))
      for number in [Int32.min, -1, 4, 1000, .max] {
        let object = TestObject(labels: [TestLabel(number: number, column: 2)])
        #expect(on(read, of: object, read: [2]).decide().action == WARDEN_ACTION_ALLOW)
      }
      for column in [Int16.min, -1, 0, 99, .max] {
        let object = TestObject(
          labels: [
            TestLabel(number: 3, column: column), TestLabel(number: 0, column: 7), TestLabel(number: 3, column: 1),
          ])
        #expect(on(WARDEN_CLASS_DELETE, of: object).decide().action == WARDEN_ACTION_BLOCK)
        _ = on(read | insert | update, of: object, read: [3, 0, -9], written: [9, 1], inserted: [.max, .min])
          .decide()
      }
    }

    @Test(arguments: [
      (
        "pii.email", ["pii.email", "pii.email.*", "pii.*", "*"], ["pii", "email", "pii.e.*", "pii.email.x", "secret.*"]
      ),
      ("pii", ["pii", "pii.*", "*"], ["p", "pi.*", "pii.email", "pii.email.*"]),
      ("a.b.c", ["a.*", "a.b.*", "a.b.c"], ["a", "a.b", "b.*", "a.c.*"]),
    ])
    func selection(_ label: String, _ by: [String], _ notBy: [String]) {
      let arena = Arena()
      let text = TextView(arena.text(label))
      let all = ColumnLabel.patterns(selecting: Array(label.utf8))
      for pattern in by.map({ Array($0.utf8) }) {
        #expect(ColumnLabel.isSelected(text, by: pattern) && all.contains(pattern))
      }
      for pattern in notBy.map({ Array($0.utf8) }) {
        #expect(!ColumnLabel.isSelected(text, by: pattern) && !all.contains(pattern))
      }
    }

    @Test(arguments: [
      ("pii.email", true), ("a", true), ("a1_b.c_2", true), (String(repeating: "a", count: 63), true),
      ("", false), (".", false), ("pii.", false), (".pii", false), ("pii..email", false), ("Pii", false),
      ("pii.*", false), ("*", false), ("1a", false), ("a._b", false), ("a b", false), ("a-b", false), ("é", false),
      (String(repeating: "a", count: 64), false),
    ])
    func names(_ label: String, _ isValid: Bool) {
      let arena = Arena()
      var texts = arena.buffer()
      var verdict = WardenVerdict()
      #expect(warden_label_check(arena.text(label), &texts, &verdict) == isValid)
      guard !isValid else { return }
      #expect(Outcome(verdict).state == "22023")
      #expect(Outcome(verdict).message == "invalid label \"\(label)\"")
      #expect(Outcome(verdict).hint?.contains("pii.email") == true)
    }

    @Test func `exemptions for labels`() {
      let arena = Arena()
      var session = TestSession().row(arena)
      var relation = people.row(arena)
      for (target, expected) in [("label:pii.*", [false, true]), ("label:secret.token", [true, false])] {
        #expect(load([], [TestExemption(targets: [Pattern(target)])], labels: labels))
        var masked = [false, false]
        _ = warden_masked_columns(&session, &relation, false, 0, [2, 6], 2, &masked)
        #expect(masked == expected)
      }
    }
  }
}
