import Contract
import Testing

// Objects that change their name, schema or parents: whose guard would be lost.

private let block = WARDEN_ACTION_BLOCK
private let orders = TestObject()
private let archived = TestObject(schema: 20, name: "archive.orders")
private let renamed = TestObject(name: "shop.purchases")
private let partition = TestObject(oid: 101, name: "shop.january", ancestors: [100])
private let detached = TestObject(oid: 101, name: "shop.january")
private let renamedColumn = TestObject(columns: ["id", "mail", "note"])

struct MoveCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let guards: [TestGuard]
  let now: TestObject
  let after: TestObject
  var session = TestSession()
  /// nil: nothing is lost.
  let decidedBy: String?

  init(
    _ title: String, _ guards: [TestGuard], _ now: TestObject, _ after: TestObject, by decidedBy: String? = "g",
    in session: TestSession = TestSession()
  ) {
    testDescription = title
    self.guards = guards
    self.now = now
    self.after = after
    self.decidedBy = decidedBy
    self.session = session
  }
}

private let unbound: Pattern = {
  var pattern = Pattern("shop.orders", object: 100)
  pattern.isBound = false
  return pattern
}()

private func delete(_ pattern: Pattern, _ name: String = "g", action: String = "block", priority: Int32 = 0)
  -> TestGuard
{
  TestGuard(name: name, action: action, statements: ["delete"], objects: [pattern], priority: priority)
}

extension PolicyTests {
  @Suite struct MoveTests {
    @Test(arguments: [
      MoveCase("out of a schema", [delete(Pattern("shop.*", schema: 10))], orders, archived),
      MoveCase("out of a schema known by its name", [delete("shop.*")], orders, archived),
      MoveCase(
        "into another guarded schema: that guard is another",
        [
          delete(Pattern("shop.*", schema: 10)), delete(Pattern("archive.*", schema: 20), "other"),
        ], orders, archived),
      MoveCase(
        "the guard is for both schemas",
        [
          TestGuard(statements: ["delete"], objects: [Pattern("shop.*", schema: 10), Pattern("archive.*", schema: 20)])
        ], orders, archived, by: nil),
      MoveCase("a table known by its OID", [delete(Pattern("shop.orders", object: 100))], orders, archived, by: nil),
      MoveCase("a table known by its name is renamed", [delete("shop.orders")], orders, renamed),
      MoveCase("a table that took the name", [delete(unbound)], orders, renamed),
      MoveCase(
        "a table known by its OID is renamed", [delete(Pattern("shop.orders", object: 100))], orders, renamed, by: nil),
      MoveCase("a partition leaves", [delete(Pattern("shop.orders", object: 100))], partition, detached),
      MoveCase("every object", [delete("*")], orders, archived, by: nil),
      MoveCase(
        "column by attribute number",
        [delete(Pattern("shop.orders.email", object: 100, column: 2, columnName: "email"))],
        orders, renamedColumn, by: nil),
      MoveCase("column by name", [delete("shop.orders.email")], orders, renamedColumn),
      MoveCase("other column", [delete("shop.orders.note")], orders, renamedColumn, by: nil),
      MoveCase(
        "to where leave outranks the guard",
        [
          delete("*"), delete(Pattern("archive.*", schema: 20), "leave", action: "allow", priority: 5),
        ], orders, archived),
      MoveCase(
        "where leave outranks it already",
        [
          delete(Pattern("shop.*", schema: 10)), delete("*", "leave", action: "allow", priority: 5),
        ], orders, archived, by: nil),
      MoveCase(
        "leave is lost, not a guard", [delete(Pattern("shop.*", schema: 10), action: "allow")], orders, archived,
        by: nil),
      MoveCase(
        "a guard for others",
        [
          TestGuard(
            statements: ["delete"], objects: [Pattern("shop.*", schema: 10)], subjects: [Subject("role:x", role: 7)])
        ],
        orders, archived, by: nil),
      MoveCase(
        "a guard for a role of the session",
        [
          TestGuard(
            statements: ["delete"], objects: [Pattern("shop.*", schema: 10)], subjects: [Subject("role:x", role: 500)])
        ],
        orders, archived),
      MoveCase(
        "by command tag", [TestGuard(statements: ["VACUUM"], objects: [Pattern("shop.*", schema: 10)])], orders,
        archived),
      MoveCase(
        "under break-glass", [delete(Pattern("shop.*", schema: 10))], orders, archived, by: nil,
        in: TestSession(isBreakingGlass: true)),
      MoveCase(
        "temporary", [delete(Pattern("shop.*", schema: 10))], TestObject(flags: WARDEN_OBJECT_TEMPORARY), archived,
        by: nil),
    ])
    func guardThatWouldBeLostDecides(_ test: MoveCase) {
      #expect(load(test.guards))
      let access = TestAccess(object: test.now, classes: WARDEN_CLASS_ALTER, after: test.after)
      let outcome = TestStatement(command: "ALTER TABLE", accesses: [access]).decide(test.session)
      #expect(outcome.guardName == test.decidedBy)
      #expect(outcome.action == (test.decidedBy == nil ? WARDEN_ACTION_ALLOW : block))
      guard test.decidedBy != nil else { return }
      #expect(outcome.message?.hasPrefix("ALTER TABLE is blocked: a guard would not hold for \(test.now.name)") == true)
    }
  }
}
