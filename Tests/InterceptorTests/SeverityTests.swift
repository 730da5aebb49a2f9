import Contract
import Testing

// The rules of rank, on every class: the higher priority decides, whatever the actions; of equals the severer action does.

private struct Action: Sendable {
  let name: String
  let severity: Int
  let verdict: WardenAction
}

private let actions = [
  Action(name: "allow", severity: 0, verdict: WARDEN_ACTION_ALLOW),
  Action(name: "alert", severity: 1, verdict: WARDEN_ACTION_ALERT),
  Action(name: "require_approval", severity: 2, verdict: WARDEN_ACTION_REQUIRE_APPROVAL),
  Action(name: "block", severity: 3, verdict: WARDEN_ACTION_BLOCK),
]

/// Each class and a word that means it.
private let classes: [(name: String, bits: WardenClasses)] = [
  ("read", WARDEN_CLASS_READ), ("insert", WARDEN_CLASS_INSERT), ("update", WARDEN_CLASS_UPDATE),
  ("delete", WARDEN_CLASS_DELETE), ("merge", WARDEN_CLASS_MERGE), ("update_all", WARDEN_CLASS_UPDATE_ALL),
  ("delete_all", WARDEN_CLASS_DELETE_ALL), ("truncate", WARDEN_CLASS_TRUNCATE), ("drop", WARDEN_CLASS_DROP),
  ("drop_column", WARDEN_CLASS_DROP_COLUMN), ("alter", WARDEN_CLASS_ALTER), ("create", WARDEN_CLASS_CREATE),
  ("ddl", WARDEN_CLASS_OTHER_DDL), ("grant", WARDEN_CLASS_GRANT), ("role", WARDEN_CLASS_ROLE),
  ("copy_in", WARDEN_CLASS_COPY_IN), ("copy_out", WARDEN_CLASS_COPY_OUT), ("copy_program", WARDEN_CLASS_COPY_PROGRAM),
  ("server_file", WARDEN_CLASS_SERVER_FILE), ("system", WARDEN_CLASS_SYSTEM), ("set", WARDEN_CLASS_SET),
  ("function", WARDEN_CLASS_FUNCTION), ("connect", WARDEN_CLASS_CONNECT), ("all", WARDEN_CLASS_TRANSACTION),
  ("all", WARDEN_CLASS_MISC),
]

extension PolicyTests {
  @Suite struct SeverityTests {
    private func expect(
      _ statement: TestStatement, _ one: Action, _ other: Action, priority: Int32, by winner: Action
    ) {
      let outcome = statement.decide()
      #expect(outcome.action == winner.verdict, "\(one.name) \(priority) and \(other.name) 0 on \(statement.classes)")
      #expect(outcome.guardName?.hasPrefix(winner.name) == true)
    }

    @Test(arguments: 0..<25, [Int32(-1), 0, 1]) func rankOnEveryClass(_ number: Int, _ priority: Int32) {
      let (name, bits) = classes[number]
      for one in actions {
        for other in actions {
          load([
            TestGuard(name: one.name + "1", action: one.name, statements: [name], priority: priority),
            TestGuard(name: other.name + "2", action: other.name, statements: [name]),
          ])
          let isOne = priority > 0 || (priority == 0 && one.severity >= other.severity)
          let winner = isOne ? one : other
          let onObject = TestStatement(command: "X", accesses: [TestAccess(classes: bits)])
          expect(onObject, one, other, priority: priority, by: winner)
          expect(TestStatement(command: "X", classes: bits), one, other, priority: priority, by: winner)
        }
      }
    }

    @Test func everyClassIsThere() {
      #expect(classes.reduce(0) { $0 | $1.bits } == (WARDEN_CLASS_MISC << 1) - 1)
    }

    /// What restricts by who or where, and does not match, gives way to what is below it.
    @Test func whatDoesNotMatchDoesNotDecide() {
      let elsewhere = WardenNetwork(high: 0, low: 0xFFFF_0A00_0000, prefix: 104)
      let others: [TestGuard] = [
        TestGuard(name: "other", action: "allow", networks: [elsewhere]),
        TestGuard(name: "other", action: "allow", hours: "08:00-09:00"),
        TestGuard(name: "other", action: "allow", environments: ["staging"]),
        TestGuard(name: "other", action: "allow", subjects: ["application:x"]),
        TestGuard(name: "other", action: "allow", subjects: ["identity:*"]),
        TestGuard(name: "other", action: "allow", subjects: ["group:*"]),
        TestGuard(name: "other", action: "allow", subjects: ["agent:*"]),
      ]
      for var other in others {
        other.priority = 100
        #expect(load([other, TestGuard()]))
        var session = TestSession()
        session.minutes = [720]
        #expect(TestStatement(accesses: [TestAccess(classes: WARDEN_CLASS_READ)]).decide(session).guardName == "g")
      }
    }

    @Test func identitiesMatchByPattern() {
      load([TestGuard(subjects: ["identity:*@example.com"])])
      let reading = TestStatement(accesses: [TestAccess(classes: WARDEN_CLASS_READ)])
      #expect(reading.decide(TestSession(identity: "ann@example.com")).guardName == "g")
      #expect(reading.decide(TestSession(identity: "ann@example.org")).guardName == nil)
      #expect(reading.decide(TestSession()).guardName == nil)
    }

    /// The work is bounded by the product of the lengths: this ends.
    @Test func hostileGlobs() {
      let glob = String(repeating: "*a", count: 2000) + "*b"
      load([TestGuard(subjects: [Subject(stringLiteral: "application:" + glob)])])
      let reading = TestStatement(accesses: [TestAccess(classes: WARDEN_CLASS_READ)])
      #expect(reading.decide(TestSession(application: String(repeating: "a", count: 4000))).guardName == nil)
      #expect(reading.decide(TestSession(application: String(repeating: "a", count: 4000) + "b")).guardName == "g")
    }
  }
}
