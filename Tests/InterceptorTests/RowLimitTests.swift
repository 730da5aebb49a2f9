import Contract
import Testing

// Guards with max_rows: when they match, by which rows, and after how many more they are to be asked about again.

private let orders = TestObject()
private let people = TestObject(oid: 200, name: "shop.people")
private let partition = TestObject(oid: 101, name: "shop.orders_2026", ancestors: [100])

private func limit(
  _ maxRows: Int64, _ statements: [String], _ objects: [Pattern] = ["*"], action: String = "block",
  priority: Int32 = 0, name: String = "cap"
) -> TestGuard {
  TestGuard(
    name: name, action: action, statements: statements, objects: objects, priority: priority, maxRows: maxRows)
}

private func tally(
  _ rows: Int64, _ classes: WardenClasses, oid: UInt32 = 100, catalog: UInt32 = 1259
) -> WardenTally {
  WardenTally(catalog: catalog, oid: oid, classes: classes, rows: rows)
}

private func all(_ rows: Int64, _ classes: WardenClasses) -> WardenTally { tally(rows, classes, oid: 0, catalog: 0) }

struct LimitCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let guards: [TestGuard]
  let classes: WardenClasses
  var object: TestObject? = orders
  var rows: TestRows?
  /// nil: nothing is refused.
  var decidedBy: String?
  var rowsLeft: Int64 = 0
  var more: [TestAccess] = []

  func run() {
    #expect(load(guards))
    let accesses = (object.map { [TestAccess(object: $0, classes: classes)] } ?? []) + more
    let statement = TestStatement(classes: classes, accesses: accesses, rows: rows)
    let outcome = statement.decide()
    #expect(outcome.action == (decidedBy == nil ? WARDEN_ACTION_ALLOW : WARDEN_ACTION_BLOCK))
    #expect(outcome.guardName == decidedBy)
    #expect(outcome.rowsLeft == rowsLeft)
    #expect(outcome.state == (decidedBy == nil ? "" : "53400"))
  }
}

private let delete = WARDEN_CLASS_DELETE
private let read = WARDEN_CLASS_READ
private let insert = WARDEN_CLASS_INSERT
private let update = WARDEN_CLASS_UPDATE

extension PolicyTests {
  @Suite struct RowLimitTests {
    @Test(arguments: [
      LimitCase(testDescription: "before it begins", guards: [limit(10, ["delete"])], classes: delete, rowsLeft: 11),
      LimitCase(
        testDescription: "0 rows: the first one is too many", guards: [limit(0, ["delete"])], classes: delete,
        rowsLeft: 1),
      LimitCase(testDescription: "another class", guards: [limit(10, ["update"])], classes: delete),
      LimitCase(
        testDescription: "as many as there may be", guards: [limit(10, ["delete"])], classes: delete,
        rows: TestRows(tallies: [all(10, delete)]), rowsLeft: 1),
      LimitCase(
        testDescription: "one more", guards: [limit(10, ["delete"])], classes: delete,
        rows: TestRows(tallies: [all(11, delete)]), decidedBy: "cap"),
      LimitCase(
        testDescription: "changes by other classes do not count", guards: [limit(10, ["delete"])], classes: delete,
        rows: TestRows(tallies: [all(100, insert), all(3, delete)]), rowsLeft: 8),
      LimitCase(
        testDescription: "the classes of one guard count together", guards: [limit(10, ["write"])], classes: delete,
        rows: TestRows(tallies: [all(6, insert), all(5, delete)]), decidedBy: "cap"),
      LimitCase(
        testDescription: "of a table: its own rows",
        guards: [limit(10, ["delete"], [Pattern("shop.orders", object: 100)])],
        classes: delete, rows: TestRows(tallies: [all(100, delete), tally(4, delete), tally(90, delete, oid: 200)]),
        rowsLeft: 7),
      LimitCase(
        testDescription: "of a schema", guards: [limit(10, ["delete"], [Pattern("shop.*", schema: 10)])],
        classes: delete, rows: TestRows(tallies: [tally(4, delete), tally(11, delete, oid: 10, catalog: 2615)]),
        decidedBy: "cap"),
      LimitCase(
        testDescription: "of a parent: the rows of all its parts",
        guards: [limit(10, ["delete"], [Pattern("shop.orders", object: 100)])], classes: delete, object: partition,
        rows: TestRows(tallies: [tally(4, delete, oid: 101), tally(11, delete)]), decidedBy: "cap"),
      LimitCase(
        testDescription: "rows returned are no rows changed", guards: [limit(10, ["delete"])], classes: delete,
        rows: TestRows(returned: 100), rowsLeft: 11),
      LimitCase(
        testDescription: "rows returned", guards: [limit(10, ["read"])], classes: read, rows: TestRows(returned: 11),
        decidedBy: "cap"),
      LimitCase(
        testDescription: "rows returned, nothing touched", guards: [limit(10, ["read"])], classes: read, object: nil,
        rows: TestRows(returned: 11), decidedBy: "cap"),
      LimitCase(
        testDescription: "rows read to be stored elsewhere",
        guards: [limit(10, ["read"], [Pattern("shop.people", object: 200)])], classes: insert,
        rows: TestRows(changed: 11, changedItself: 11), decidedBy: "cap",
        more: [TestAccess(object: people, classes: read)]),
      LimitCase(
        testDescription: "rows that triggers change are not read", guards: [limit(10, ["read"])], classes: insert,
        rows: TestRows(changed: 20, changedItself: 5), rowsLeft: 6, more: [TestAccess(object: people, classes: read)]),
      LimitCase(
        testDescription: "rows read to find those to change", guards: [limit(10, ["read"])], classes: read | update,
        rows: TestRows(changed: 50, changedItself: 50), rowsLeft: 11),
      LimitCase(
        testDescription: "the nearest of two limits", guards: [limit(10, ["read"]), limit(4, ["all"], name: "all")],
        classes: read, rows: TestRows(returned: 2), rowsLeft: 3),
      LimitCase(
        testDescription: "the greatest number", guards: [limit(.max, ["read"])], classes: read,
        rows: TestRows(returned: .max), rowsLeft: 1),
      LimitCase(
        testDescription: "counts that cannot be", guards: [limit(10, ["read"])], classes: read,
        rows: TestRows(returned: .min), rowsLeft: 11),
      LimitCase(
        testDescription: "more rows than can be counted", guards: [limit(10, ["delete"])], classes: delete,
        rows: TestRows(tallies: [all(.max, delete), all(.max, delete | read)]), decidedBy: "cap"),
    ])
    func limitIsHeld(_ scenario: LimitCase) { scenario.run() }

    @Test func leaveOfAHigherPriorityCounts() {
      let leave = TestGuard(name: "leave", action: "allow", statements: ["read"], priority: 5)
      let outcome = decide([limit(10, ["read"]), leave], returned: 11)
      #expect(outcome.action == WARDEN_ACTION_ALLOW && outcome.guardName == "leave")
    }

    private func decide(_ guards: [TestGuard], returned: Int64, _ session: TestSession = TestSession()) -> Outcome {
      #expect(load(guards))
      return TestStatement(
        accesses: [TestAccess(object: orders, classes: read)], rows: TestRows(returned: returned)
      ).decide(session)
    }

    @Test func wordsSayWhatAndHowMany() {
      let outcome = decide([limit(10, ["read"])], returned: 11)
      #expect(outcome.message == "SELECT on shop.orders is blocked: it exceeds the row limit of 10")
      #expect(outcome.detail == #"Guard "cap" blocks read beyond a row limit of 10."#)
      #expect(outcome.hint?.contains("at most 10 rows") == true)
    }

    @Test func approvalIsRequiredBeyond() {
      let outcome = decide([limit(10, ["read"], action: "require_approval")], returned: 11)
      #expect(outcome.action == WARDEN_ACTION_REQUIRE_APPROVAL && outcome.state == "WD001")
    }

    @Test func alertGoesOnToTheNextLimit() {
      let guards = [limit(10, ["read"], action: "alert", name: "tell"), limit(20, ["read"])]
      let outcome = decide(guards, returned: 11)
      #expect(outcome.action == WARDEN_ACTION_ALERT && outcome.guardName == "tell" && outcome.rowsLeft == 10)
      #expect(decide(guards, returned: 21).guardName == "cap")
    }

    @Test func monitorLetsRun() {
      let outcome = decide([limit(10, ["read"])], returned: 11, TestSession(mode: WARDEN_MODE_MONITOR))
      #expect(outcome.action == WARDEN_ACTION_ALLOW && outcome.decision == WARDEN_DECISION_WOULD_BLOCK)
    }

    @Test func breakGlassCountsNothing() {
      let outcome = decide([limit(10, ["read"])], returned: 11, TestSession(isBreakingGlass: true))
      #expect(outcome.action == WARDEN_ACTION_ALLOW && outcome.rowsLeft == 0)
    }

    @Test func truncateIsMoreThanAnyNumber() {
      #expect(load([limit(10, ["all"])]))
      let statement = TestStatement(accesses: [TestAccess(object: orders, classes: WARDEN_CLASS_TRUNCATE)])
      #expect(statement.decide().state == "42501")
    }
  }
}
