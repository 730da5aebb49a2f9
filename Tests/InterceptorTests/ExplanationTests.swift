import Contract
import Testing

// warden.explain's core: which guards match, and why each decides or does not.

private let read = WARDEN_CLASS_READ
private let deleteAll = WARDEN_CLASS_DELETE | WARDEN_CLASS_DELETE_ALL
private let orders = TestObject()
private let people = TestObject(oid: 200, name: "shop.people")
private let own = TestObject(oid: 400, schema: 12, flags: WARDEN_OBJECT_OWN, name: "warden.guard_policy")

private func on(_ object: TestObject, _ classes: WardenClasses, _ command: String = "SELECT") -> TestStatement {
  TestStatement(command: command, accesses: [TestAccess(object: object, classes: classes)])
}

struct ExplainCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  var guards: [TestGuard] = []
  var session = TestSession()
  let statement: TestStatement
  /// guard | action | object | reason
  let rows: [String]
}

extension PolicyTests {
  @Suite struct ExplanationTests {
    @Test(arguments: [
      ExplainCase(testDescription: "nothing matches", statement: on(orders, read), rows: []),
      ExplainCase(
        testDescription: "one guard", guards: [TestGuard(statements: ["read"])], statement: on(orders, read),
        rows: ["g|block|shop.orders|read: decides", "-|block|-|SELECT on shop.orders is blocked"]),
      ExplainCase(
        testDescription: "the higher priority, then the more severe",
        guards: [
          TestGuard(name: "low", priority: 1), TestGuard(name: "leave", action: "allow", priority: 5),
          TestGuard(name: "tell", action: "alert", priority: 5),
        ], statement: on(orders, read),
        rows: [
          "tell|alert|shop.orders|read: decides", "leave|allow|shop.orders|read: outranked by tell",
          "low|block|shop.orders|read: outranked by tell", "-|alert|-|SELECT on shop.orders raises an alert",
        ]),
      ExplainCase(
        testDescription: "leave to read", guards: [TestGuard(name: "leave", action: "allow")],
        statement: on(orders, read),
        rows: ["leave|allow|shop.orders|read: decides", "-|allow|-|the statement runs"]),
      ExplainCase(
        testDescription: "each act on its own",
        guards: [
          TestGuard(name: "leave", action: "allow", statements: ["read"], priority: 9),
          TestGuard(name: "dml", statements: ["delete_all"]),
        ], statement: on(orders, read | deleteAll),
        rows: [
          "leave|allow|shop.orders|read: decides about this act; about the statement dml does",
          "dml|block|shop.orders|delete_all: decides", "-|block|-|DELETE of all rows of shop.orders is blocked",
        ]),
      ExplainCase(
        testDescription: "another environment", guards: [TestGuard(environments: ["staging"])],
        statement: on(orders, read),
        rows: [
          "g|block|shop.orders|read: does not match in this environment", "-|allow|-|the statement runs",
        ]),
      ExplainCase(
        testDescription: "monitor", guards: [TestGuard()], session: TestSession(mode: WARDEN_MODE_MONITOR),
        statement: on(orders, read),
        rows: [
          "g|block|shop.orders|read: decides, but the mode is monitor: would_block",
          "-|allow|-|would_block: SELECT on shop.orders is blocked",
        ]),
      ExplainCase(
        testDescription: "off", guards: [TestGuard()], session: TestSession(mode: WARDEN_MODE_OFF),
        statement: on(orders, read),
        rows: ["g|block|shop.orders|read: decides, but the mode is off", "-|allow|-|the statement runs"]),
      ExplainCase(
        testDescription: "break-glass", guards: [TestGuard()], session: TestSession(isBreakingGlass: true),
        statement: on(orders, read),
        rows: ["g|block|shop.orders|read: lifted by break-glass", "-|allow|-|the statement runs"]),
      ExplainCase(
        testDescription: "self-protection comes first", guards: [TestGuard(statements: ["alter"])],
        statement: on(own, WARDEN_CLASS_ALTER, "ALTER TABLE"),
        rows: [
          "self-protection|block|warden.guard_policy|alter: decides",
          "g|block|warden.guard_policy|alter: outranked by self-protection",
          "-|block|-|ALTER TABLE on warden.guard_policy is blocked",
        ]),
      ExplainCase(
        testDescription: "a statement on no object", guards: [TestGuard(statements: ["system"])],
        statement: TestStatement(command: "LOAD", classes: WARDEN_CLASS_SYSTEM),
        rows: ["g|block|-|system: decides", "-|block|-|LOAD is blocked"]),
      ExplainCase(
        testDescription: "by command tag", guards: [TestGuard(statements: ["CREATE INDEX"])],
        statement: on(orders, WARDEN_CLASS_CREATE, "CREATE INDEX"),
        rows: ["g|block|shop.orders|CREATE INDEX: decides", "-|block|-|CREATE INDEX on shop.orders is blocked"]),
      ExplainCase(
        testDescription: "guards for others do not match",
        guards: [TestGuard(subjects: [Subject("role:x", role: 9)]), TestGuard(objects: [Pattern("a.b", object: 5)])],
        statement: on(people, read), rows: []),
    ])
    func rows(_ scenario: ExplainCase) {
      #expect(load(scenario.guards))
      #expect(explain(scenario.statement, scenario.session) == scenario.rows)
    }

    @Test func `an object that the caller may not see is not named`() {
      load([TestGuard()])
      var statement = on(people, read)
      statement.accesses[0].isHidden = true
      #expect(
        explain(statement, TestSession()) == [
          "g|block|-|read: decides", "-|block|-|SELECT on an object that you may not see is blocked",
        ])
    }

    /// The row that decides and the result are those of the decision itself, whatever the guards are.
    @Test(arguments: 0..<200) func `the decision is the one that is made`(seed: Int) {
      let actions = ["block", "require_approval", "alert", "allow"]
      let classes = ["read", "delete", "delete_all", "all", "DELETE", "SELECT"]
      let guards = (0..<(1 + seed % 5)).map { number in
        let mix = seed &* 31 &+ number &* 17
        return TestGuard(
          name: "g\(number)", action: actions[mix % 4], statements: [classes[mix / 4 % 6]],
          objects: mix % 3 == 0 ? [Pattern("shop.orders", object: 100)] : ["*"], priority: Int32(mix / 7 % 3))
      }
      #expect(load(guards))
      let statement = TestStatement(
        command: "DELETE",
        accesses: [TestAccess(object: orders, classes: read | deleteAll), TestAccess(object: people, classes: read)])
      let outcome = statement.decide()
      let rows = explain(statement, TestSession())
      if let name = outcome.guardName {
        #expect(rows.contains { $0.hasPrefix("\(name)|") && $0.hasSuffix(": decides") })
      }
      #expect(rows.isEmpty || rows.last?.hasSuffix("|\(outcome.message ?? "the statement runs")") == true)
    }

    @Test func `what finds no room is asked for again`() {
      load([TestGuard()])
      let arena = Arena()
      var session = TestSession().row(arena)
      var statement = on(orders, read).row(arena)
      for room in 0..<40 {
        var rows = arena.buffer(room)
        #expect(!warden_explain(&session, &statement, &rows))
      }
    }
  }
}

private func explain(_ statement: TestStatement, _ session: TestSession) -> [String] {
  let arena = Arena()
  var who = session.row(arena)
  var what = statement.row(arena)
  var rows = arena.buffer(65536)
  #expect(warden_explain(&who, &what, &rows))
  var fields: [String] = []
  var rest = Array(UnsafeBufferPointer(start: rows.bytes, count: Int(rows.length)))[...]
  while let kind = rest.popFirst() {
    let field = kind == 0 ? [45] : rest.prefix { $0 != 0 }
    if kind != 0 { rest = rest.dropFirst(field.count + 1) }
    fields.append(String(decoding: field, as: UTF8.self))
  }
  return stride(from: 0, to: fields.count, by: 4).map { fields[$0..<min($0 + 4, fields.count)].joined(separator: "|") }
}
