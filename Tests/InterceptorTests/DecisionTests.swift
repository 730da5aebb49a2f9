import Contract
import Testing

// What is decided of a statement: one table for each part of the rules, each row a policy, a statement and the verdict.

private let read = WARDEN_CLASS_READ
private let delete = WARDEN_CLASS_DELETE
private let deleteAll = WARDEN_CLASS_DELETE | WARDEN_CLASS_DELETE_ALL
private let update = WARDEN_CLASS_UPDATE
private let drop = WARDEN_CLASS_DROP

private let orders = TestObject()
private let people = TestObject(oid: 200, name: "shop.people")
private let partition = TestObject(oid: 101, name: "shop.orders_2026", ancestors: [100], columns: ["", "email", "id"])
private let temporary = TestObject(oid: 300, schema: 11, flags: WARDEN_OBJECT_TEMPORARY, name: "pg_temp_3.t")
private let catalogTable = TestObject(oid: 1260, schema: 11, flags: WARDEN_OBJECT_CATALOG, name: "pg_catalog.pg_authid")
private let catalogSchema = TestObject(
  catalog: 2615, oid: 11, schema: 0, flags: WARDEN_OBJECT_CATALOG, kind: "schema", name: "pg_catalog", columns: [])
private let catalogView = TestObject(
  oid: 12000, schema: 11, flags: WARDEN_OBJECT_CATALOG, kind: "view", name: "pg_catalog.pg_settings")
private let schemaObject = TestObject(catalog: 2615, oid: 10, schema: 0, kind: "schema", name: "shop", columns: [])
private let function = TestObject(
  catalog: 1255, oid: 100, kind: "function", name: "shop.refund(integer, text)", columns: [])
private let own = TestObject(oid: 400, schema: 12, flags: WARDEN_OBJECT_OWN, name: "warden.guard_table")
private let audit = TestObject(
  oid: 401, schema: 12, flags: WARDEN_OBJECT_OWN | WARDEN_OBJECT_AUDIT, name: "warden.audit_2026_01_01")
private let ownRole = TestObject(
  catalog: 1260, oid: 402, schema: 0, flags: WARDEN_OBJECT_OWN, kind: "role", name: "warden_admin", columns: [])

private func on(
  _ object: TestObject, _ classes: WardenClasses, _ command: String = "SELECT", read: [Int16] = [],
  written: [Int16] = [], masked: [Int16] = []
) -> TestStatement {
  TestStatement(
    command: command,
    accesses: [TestAccess(object: object, classes: classes, read: read, written: written, masked: masked)])
}

struct DecisionCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  var guards: [TestGuard]
  var session = TestSession()
  let statement: TestStatement
  /// The guard that decides; nil: none does.
  var decidedBy: String?
  var action = WARDEN_ACTION_ALLOW
  var decision = WARDEN_DECISION_ALLOWED

  static func allowed(
    _ name: String, _ guards: [TestGuard], _ statement: TestStatement, by decidedBy: String? = nil,
    in session: TestSession = TestSession()
  ) -> DecisionCase {
    DecisionCase(
      testDescription: name, guards: guards, session: session, statement: statement, decidedBy: decidedBy)
  }

  static func blocked(
    _ name: String, _ guards: [TestGuard], _ statement: TestStatement, by decidedBy: String = "g",
    in session: TestSession = TestSession()
  ) -> DecisionCase {
    DecisionCase(
      testDescription: name, guards: guards, session: session, statement: statement, decidedBy: decidedBy,
      action: WARDEN_ACTION_BLOCK, decision: WARDEN_DECISION_BLOCKED)
  }

  func run() {
    #expect(load(guards))
    let outcome = statement.decide(session)
    #expect(outcome.action == action)
    #expect(outcome.decision == decision)
    #expect(outcome.guardName == decidedBy)
    #expect(outcome.state == (action == WARDEN_ACTION_BLOCK ? "42501" : ""))
  }
}

private func allow(_ statements: [String], _ objects: [Pattern] = ["*"], priority: Int32 = 10) -> TestGuard {
  TestGuard(name: "leave", action: "allow", statements: statements, objects: objects, priority: priority)
}

extension PolicyTests {
  @Suite struct DecisionTests {
    @Test(arguments: [
      DecisionCase.blocked(
        "object by OID", [TestGuard(objects: [Pattern("shop.orders", object: 100)])], on(orders, read)),
      .allowed("other object", [TestGuard(objects: [Pattern("shop.orders", object: 100)])], on(people, read)),
      .blocked(
        "what takes the name of an object that a guard is for",
        [TestGuard(objects: [Pattern("shop.people", object: 100)])], on(people, read)),
      .allowed(
        "a name permits nothing where an object of that name was meant",
        [TestGuard(action: "allow", objects: [Pattern("shop.people", object: 100)])], on(people, read)),
      .allowed(
        "same OID, other catalog", [TestGuard(objects: [Pattern("shop.orders", object: 100)])], on(function, read)),
      .blocked("child of it", [TestGuard(objects: [Pattern("shop.orders", object: 100)])], on(partition, read)),
      .blocked("by schema", [TestGuard(objects: [Pattern("shop.*", schema: 10)])], on(people, read)),
      .blocked("the schema itself", [TestGuard(objects: [Pattern("shop.*", schema: 10)])], on(schemaObject, drop)),
      .allowed("other schema", [TestGuard(objects: [Pattern("lab.*", schema: 99)])], on(people, read)),
      .blocked(
        "a schema that took the name", [TestGuard(objects: [Pattern("shop.*", schema: 99)])], on(people, read)),
      .blocked("by name, not yet there", [TestGuard(objects: ["Shop.Orders"])], on(orders, read)),
      .blocked(
        "by quoted name", [TestGuard(objects: [#"shop."Or""der.s""#])],
        on(TestObject(oid: 0, name: #"shop."Or""der.s""#), WARDEN_CLASS_CREATE)),
      .allowed(
        "quotes keep the case", [TestGuard(objects: [#"shop."Orders""#])], on(orders, read)),
      .allowed("a name is more than its beginning", [TestGuard(objects: ["shop.order"])], on(orders, read)),
      .blocked("schema by name", [TestGuard(objects: ["shop.*"])], on(orders, read)),
      .blocked("schema itself by name", [TestGuard(objects: ["shop.*"])], on(schemaObject, drop)),
      .allowed(
        "a role named like the schema", [TestGuard(objects: ["shop.*"])],
        on(TestObject(catalog: 1260, schema: 0, kind: "role", name: "shop"), drop)),
      .blocked(
        "function by OID",
        [TestGuard(statements: ["function"], objects: [Pattern("function:shop.refund", object: 100)])],
        on(function, WARDEN_CLASS_FUNCTION)),
      .blocked(
        "function by name", [TestGuard(statements: ["function"], objects: ["function:shop.refund"])],
        on(function, WARDEN_CLASS_FUNCTION)),
      .allowed(
        "relation of a function's name", [TestGuard(objects: ["function:shop.orders"])], on(orders, read)),
      .blocked("database of the session", [TestGuard(objects: ["database:shopdb"])], on(orders, read)),
      .allowed("other database", [TestGuard(objects: ["database:other"])], on(orders, read)),
      .blocked(
        "DROP DATABASE from another one", [TestGuard(objects: ["database:other"])],
        on(TestObject(catalog: 1262, oid: 7, schema: 0, kind: "database", name: "other"), drop)),
      .blocked("no object at all", [TestGuard(statements: ["system"])], TestStatement(classes: WARDEN_CLASS_SYSTEM)),
      .blocked(
        "a class that no object has",
        [TestGuard(statements: ["copy_program"])],
        TestStatement(
          command: "COPY", classes: WARDEN_CLASS_COPY_PROGRAM,
          accesses: [TestAccess(object: temporary, classes: read)])),
      .blocked(
        "a program, on a temporary table", [TestGuard(statements: ["copy_program"])],
        on(temporary, WARDEN_CLASS_COPY_PROGRAM | read)),
      .allowed("class not asked for", [TestGuard(statements: ["delete"])], on(orders, read)),
      .allowed("temporary table", [TestGuard(statements: ["all"])], on(temporary, deleteAll | read | drop)),
      .blocked(
        "temporary table beside another", [TestGuard(statements: ["drop"])],
        TestStatement(
          command: "DROP TABLE",
          accesses: [TestAccess(object: temporary, classes: drop), TestAccess(object: orders, classes: drop)])),
      .allowed("reading a catalog", [TestGuard(statements: ["read"])], on(catalogTable, read)),
      .blocked(
        "reading a catalog that is named", [TestGuard(objects: [Pattern("pg_catalog.pg_authid", object: 1260)])],
        on(catalogTable, read)),
      .blocked(
        "writing a view of the catalogs", [TestGuard(statements: ["write"])], on(catalogView, update | read)),
      .allowed(
        "calling our own", [TestGuard(statements: ["function"])],
        on(
          TestObject(catalog: 1255, flags: WARDEN_OBJECT_OWN, kind: "function", name: "warden.mask_email(text)"),
          WARDEN_CLASS_FUNCTION)),
      .allowed("reading our own", [TestGuard(statements: ["read"])], on(audit, read)),
    ])
    func objects(_ scenario: DecisionCase) { scenario.run() }

    @Test(arguments: [
      DecisionCase.blocked("write is delete", [TestGuard(statements: ["write"])], on(orders, delete)),
      .blocked(
        "MERGE's actions", [TestGuard(statements: ["delete"])], on(orders, WARDEN_CLASS_MERGE | delete, "MERGE")),
      .blocked(
        "ddl is truncate", [TestGuard(statements: ["ddl"])], on(orders, WARDEN_CLASS_TRUNCATE, "TRUNCATE TABLE")),
      .blocked("ddl is COMMENT", [TestGuard(statements: ["ddl"])], on(orders, WARDEN_CLASS_OTHER_DDL, "COMMENT")),
      .blocked(
        "all is BEGIN", [TestGuard(statements: ["all"])],
        TestStatement(command: "BEGIN", classes: WARDEN_CLASS_TRANSACTION)),
      .allowed("delete is not delete_all", [TestGuard(statements: ["delete_all"])], on(orders, delete, "DELETE")),
      .blocked("a tag", [TestGuard(statements: ["create index"])], on(orders, WARDEN_CLASS_CREATE, "CREATE INDEX")),
      .allowed(
        "another tag", [TestGuard(statements: ["CREATE INDEX"])], on(orders, WARDEN_CLASS_CREATE, "CREATE TRIGGER")),
      .blocked("a tag without any class", [TestGuard(statements: ["VACUUM"])], TestStatement(command: "VACUUM")),
      .allowed(
        "a tag on a temporary table", [TestGuard(statements: ["DROP TABLE"])], on(temporary, drop, "DROP TABLE")),
      .blocked(
        "a tag and an object", [TestGuard(statements: ["DROP TABLE"], objects: [Pattern("shop.orders", object: 100)])],
        on(orders, drop, "DROP TABLE")),
      .allowed(
        "a tag and another object",
        [TestGuard(statements: ["DROP TABLE"], objects: [Pattern("shop.orders", object: 100)])],
        on(people, drop, "DROP TABLE")),
      .blocked("tag DELETE inside WITH", [TestGuard(statements: ["DELETE"])], on(orders, delete | read, "SELECT")),
    ])
    func statements(_ scenario: DecisionCase) { scenario.run() }

    @Test(arguments: [
      DecisionCase.blocked("column read", [column(["read"])], on(orders, read, read: [1, 2])),
      .blocked("whole row read", [column(["read"])], on(orders, read, read: [0])),
      .allowed("other column read", [column(["read"])], on(orders, read, read: [1])),
      .allowed(
        "read, where updates are guarded", [column(["update"])], on(orders, read | update, read: [2], written: [1])),
      .blocked("column updated", [column(["update"])], on(orders, update, written: [2])),
      .blocked("insert without a list", [column(["insert"])], on(orders, WARDEN_CLASS_INSERT)),
      .allowed("insert of others", [column(["insert"])], on(orders, WARDEN_CLASS_INSERT, written: [1, 3])),
      .blocked("delete takes every column", [column(["delete"])], on(orders, delete, "DELETE", read: [1])),
      .blocked("COPY of the table", [column(["copy_out"])], on(orders, WARDEN_CLASS_COPY_OUT | read)),
      .blocked(
        "drop_column of it", [column(["drop_column"])],
        on(orders, WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN, written: [2])),
      .allowed(
        "drop_column of another", [column(["drop_column"])],
        on(orders, WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN, written: [3])),
      .blocked("a child's column has another number", [column(["read"], "id", 1)], on(partition, read, read: [3])),
      .allowed(
        "that number is another column of the child", [column(["read"], "id", 1)], on(partition, read, read: [1])),
      .blocked("after a rename of the column", [column(["read"], "mail", 2)], on(orders, read, read: [2])),
      .blocked(
        "column of a table not yet there", [TestGuard(statements: ["read"], objects: ["shop.orders.email"])],
        on(orders, read, read: [2])),
      .blocked("a tag and the column", [column(["SELECT"])], on(orders, read, read: [2])),
      .allowed("a tag and another column", [column(["SELECT"])], on(orders, read, read: [1])),
    ])
    func columns(_ scenario: DecisionCase) { scenario.run() }

    private static func column(_ statements: [String], _ name: String = "email", _ number: Int16 = 2) -> TestGuard {
      TestGuard(statements: statements, objects: [Pattern("shop.orders.\(name)", object: 100, column: number)])
    }

    @Test(arguments: [
      DecisionCase.blocked("member of the role", [role], on(orders, read)),
      .allowed("not a member", [role], on(orders, read), in: TestSession(roles: [7], userRoles: [7])),
      .blocked("member as user only", [role], on(orders, read), in: TestSession(roles: [7])),
      .blocked("superusers are bound", [TestGuard()], on(orders, read), in: TestSession(isSuperuser: true)),
      .allowed("a role that is gone", [TestGuard(subjects: [Subject("role:gone", role: 0)])], on(orders, read)),
      .allowed(
        "leave to the role", [TestGuard(), leave], on(orders, read), by: "leave"),
      .blocked(
        "leave is not carried along by SET ROLE", [TestGuard(), leave], on(orders, read), in: TestSession(roles: [7])),
      .blocked(
        "nor where the guard is for others too", [TestGuard(), mixedLeave], on(orders, read),
        in: TestSession(roles: [7])),
      .blocked("application", [TestGuard(subjects: ["application:ps?l*"])], on(orders, read)),
      .allowed("application is case-sensitive", [TestGuard(subjects: ["application:PSQL"])], on(orders, read)),
      .allowed("application, anchored", [TestGuard(subjects: ["application:sql*"])], on(orders, read)),
      .blocked(
        "glob goes back", [TestGuard(subjects: ["application:*ab*c"])], on(orders, read),
        in: TestSession(application: "xaababxabc")),
      .blocked("anonymous", [TestGuard(subjects: ["anonymous"])], on(orders, read)),
      .allowed(
        "identified", [TestGuard(subjects: ["anonymous"])], on(orders, read), in: TestSession(identity: "alice")),
      .blocked("all of them", [both], on(orders, read), in: TestSession(roles: [500], application: "psql")),
      .allowed(
        "one of two", [both], on(orders, read), in: TestSession(roles: [1], userRoles: [1], application: "psql")),
      .allowed("the other of two", [both], on(orders, read), in: TestSession(roles: [500], application: "x")),
      .allowed(
        "leave to all of them", [TestGuard(), bothLeave], on(orders, read), by: "leave",
        in: TestSession(roles: [500], application: "psql")),
      .blocked(
        "leave to all of them is not for one", [TestGuard(), bothLeave], on(orders, read),
        in: TestSession(roles: [7], application: "psql")),
      .blocked("environment", [TestGuard(environments: ["staging", "production"])], on(orders, read)),
      .allowed("other environment", [TestGuard(environments: ["staging"])], on(orders, read)),
    ])
    func subjects(_ scenario: DecisionCase) { scenario.run() }

    private static let role = TestGuard(subjects: [Subject("role:clerk", role: 500)])
    private static let clerkInPsql = Subject(all: [Subject("role:clerk", role: 500), "application:psql"])
    private static let both = TestGuard(subjects: [clerkInPsql])
    private static let bothLeave = TestGuard(name: "leave", action: "allow", subjects: [clerkInPsql], priority: 1)
    private static let leave = TestGuard(
      name: "leave", action: "allow", subjects: [Subject("role:clerk", role: 500)], priority: 1)
    private static let mixedLeave = TestGuard(
      name: "leave", action: "allow", subjects: [Subject("role:clerk", role: 500), "application:none"], priority: 1)

    @Test(arguments: [
      DecisionCase.blocked("the severest of equals", [allow(["read"], priority: 0), TestGuard()], on(orders, read)),
      .allowed("the higher priority", [allow(["read"]), TestGuard()], on(orders, read), by: "leave"),
      .allowed(
        "leave for DELETE is leave for all rows", [allow(["delete"]), TestGuard(statements: ["delete_all"])],
        on(orders, deleteAll, "DELETE"), by: "leave"),
      .blocked(
        "leave to read is none to delete", [allow(["read"]), TestGuard(statements: ["delete"])],
        on(orders, delete | read, "DELETE", read: [1])),
      .blocked(
        "leave for one object is none for another",
        [allow(["delete"], [Pattern("shop.people", object: 200)]), TestGuard(statements: ["delete"])],
        TestStatement(
          accesses: [TestAccess(object: people, classes: delete), TestAccess(object: orders, classes: delete)])),
      .blocked(
        "leave for SELECT is none for the DELETE in it", [allow(["SELECT"]), TestGuard(statements: ["delete"])],
        on(orders, delete)),
      .allowed(
        "leave for a tag", [allow(["DROP TABLE"]), TestGuard(statements: ["drop"])],
        on(orders, drop, "DROP TABLE"), by: "leave"),
      .blocked(
        "higher priority for others",
        [
          TestGuard(name: "leave", action: "allow", subjects: [Subject("role:x", role: 9)], priority: 10), TestGuard(),
        ], on(orders, read)),
      .blocked(
        "object and any, the object's priority being lower",
        [
          TestGuard(),
          TestGuard(name: "leave", action: "allow", objects: [Pattern("shop.orders", object: 100)], priority: -1),
        ], on(orders, read)),
      DecisionCase(
        testDescription: "alert", guards: [TestGuard(action: "alert"), allow(["read"], priority: 0)],
        statement: on(orders, read), decidedBy: "g", action: WARDEN_ACTION_ALERT),
      .allowed(
        "priorities at their limits",
        [allow(["read"], priority: .max), TestGuard(priority: .min)], on(orders, read), by: "leave"),
    ])
    func priorities(_ scenario: DecisionCase) { scenario.run() }

    @Test(arguments: [
      DecisionCase.blocked("UPDATE of our tables", [], on(own, update, "UPDATE"), by: "self-protection"),
      .blocked("DROP by cascade", [], on(own, drop, "DROP OWNED"), by: "self-protection"),
      .blocked("rows of a catalog", [], on(catalogTable, delete | read), by: "self-protection"),
      .blocked(
        "a catalog, breaking glass", [], on(catalogTable, delete), by: "self-protection",
        in: TestSession(isBreakingGlass: true)),
      .blocked("made in pg_catalog", [], on(catalogSchema, WARDEN_CLASS_CREATE), by: "self-protection"),
      .allowed("named in pg_catalog", [], on(catalogSchema, read)),
      .allowed("a view of the catalogs", [], on(catalogView, update | read)),
      .blocked("off", [], on(own, drop), by: "self-protection", in: TestSession(mode: WARDEN_MODE_OFF)),
      .blocked("monitor", [], on(own, drop), by: "self-protection", in: TestSession(mode: WARDEN_MODE_MONITOR)),
      .blocked("leave does not help", [allow(["all"])], on(own, drop), by: "self-protection"),
      .allowed("breaking glass", [], on(own, drop), in: TestSession(isBreakingGlass: true)),
      .blocked(
        "audit, breaking glass", [], on(audit, delete), by: "self-protection", in: TestSession(isBreakingGlass: true)),
      .blocked("GRANT on audit", [], on(audit, WARDEN_CLASS_GRANT, "GRANT"), by: "self-protection"),
      .blocked("GRANT on ours", [], on(own, WARDEN_CLASS_GRANT, "GRANT"), by: "self-protection"),
      .allowed("GRANT of ours", [], on(ownRole, WARDEN_CLASS_GRANT, "GRANT ROLE")),
      .allowed("membership", [], on(ownRole, WARDEN_CLASS_ROLE, "GRANT ROLE")),
      .blocked("ALTER ROLE", [], on(ownRole, WARDEN_CLASS_ROLE, "ALTER ROLE"), by: "self-protection"),
      .allowed("reading, locking, calling", [], on(own, read | WARDEN_CLASS_MISC | WARDEN_CLASS_FUNCTION)),
      .allowed("COPY out of the audit", [], on(audit, read | WARDEN_CLASS_COPY_OUT, "COPY")),
      .blocked(
        "COPY into the audit", [], on(audit, WARDEN_CLASS_INSERT | WARDEN_CLASS_COPY_IN, "COPY"),
        by: "self-protection"),
      .blocked("DROP EXTENSION", [], extensionDrop, by: "self-protection"),
      .allowed("DROP EXTENSION, breaking glass", [], extensionDrop, in: TestSession(isBreakingGlass: true)),
      .allowed("breaking glass lifts guards", [TestGuard()], on(orders, drop), in: TestSession(isBreakingGlass: true)),
      .allowed("off lifts guards", [TestGuard()], on(orders, drop), in: TestSession(mode: WARDEN_MODE_OFF)),
    ])
    func selfProtection(_ scenario: DecisionCase) { scenario.run() }

    private static let extensionDrop = TestStatement(
      command: "DROP EXTENSION", classes: drop, accesses: [TestAccess(object: audit, classes: drop)],
      dropsExtension: true)

    @Test func `DROP EXTENSION is refused though no object is named`() {
      load()
      let outcome = TestStatement(command: "DROP EXTENSION", classes: drop, dropsExtension: true).decide()
      #expect(outcome.guardName == "self-protection")
      #expect(outcome.hint == "Call warden.break_glass(reason), then DROP EXTENSION in the same session.")
    }

    @Test func `monitoring tells what would be`() {
      load([TestGuard(statements: ["read"]), TestGuard(name: "a", action: "require_approval", statements: ["drop"])])
      let session = TestSession(mode: WARDEN_MODE_MONITOR)
      let blocked = on(orders, read).decide(session)
      #expect(blocked.action == WARDEN_ACTION_ALLOW)
      #expect(blocked.decision == WARDEN_DECISION_WOULD_BLOCK)
      #expect(blocked.guardName == "g")
      #expect(blocked.state == "")
      let approval = on(orders, drop).decide(session)
      #expect(approval.action == WARDEN_ACTION_ALLOW)
      #expect(approval.decision == WARDEN_DECISION_WOULD_REQUIRE_APPROVAL)
    }

    @Test func `masked columns are told`() {
      load()
      #expect(on(orders, read, read: [2], masked: [2]).decide().decision == WARDEN_DECISION_MASKED)
      load([TestGuard(action: "alert")])
      let alert = on(orders, read, read: [2], masked: [2]).decide()
      #expect(alert.decision == WARDEN_DECISION_MASKED)
      #expect(alert.action == WARDEN_ACTION_ALERT)
    }

    @Test func `without a policy every statement is refused`() {
      warden_policy_discard()
      let outcome = on(orders, read).decide()
      #expect(outcome.action == WARDEN_ACTION_BLOCK)
      #expect(outcome.state == "XX000")
      #expect(outcome.message == "pg_warden has no policy in force")
      #expect(warden_policy_classes() == 0)
      warden_policy_begin()
      #expect(on(orders, read).decide().state == "XX000")
      warden_policy_commit()
      #expect(on(orders, read).decide().action == WARDEN_ACTION_ALLOW)
      warden_policy_begin()
      #expect(on(orders, read).decide().action == WARDEN_ACTION_ALLOW)
    }

    @Test func `a policy with a refused row does not come into force`() {
      #expect(!load([TestGuard(), TestGuard(action: "explode")]))
      #expect(on(orders, read).decide().state == "XX000")
      #expect(load([]))
    }

    @Test func `facts that contradict themselves are refused`() {
      load()
      let arena = Arena()
      var session = TestSession().row(arena)
      var texts = arena.buffer()
      var verdict = WardenVerdict()
      let contradictions: [(inout WardenStatement) -> Void] = [
        { $0.classes = 0 }, { $0.access_count = -1 }, { $0.accesses = nil },
      ]
      for contradict in contradictions {
        var statement = on(orders, read).row(arena)
        contradict(&statement)
        warden_decide(&session, &statement, &texts, &verdict)
        #expect(Outcome(verdict).state == "XX000")
        #expect(verdict.action == WARDEN_ACTION_BLOCK)
      }
    }

    @Test func `classes that guards ask for`() {
      load([TestGuard(statements: ["drop", "write"])])
      #expect(warden_policy_classes() & (drop | delete) == drop | delete)
      #expect(warden_policy_classes() & read == 0)
      load([TestGuard(statements: ["CREATE INDEX"])])
      #expect(warden_policy_classes() & WARDEN_CLASS_CREATE != 0)
      #expect(warden_policy_classes() & read == 0)
    }

    @Test func `ten thousand guards cost what ten cost`() {
      let guards = (0..<10_000).map { number in
        TestGuard(
          name: "g\(number)", statements: ["read"],
          objects: [Pattern("shop.t\(number)", object: number % 2 == 0 ? UInt32(1000 + number) : 0)])
      }
      #expect(load(guards))
      #expect(on(TestObject(oid: 1998, name: "x.y"), read).decide().guardName == "g998")
      #expect(on(TestObject(oid: 3, name: "shop.t9999"), read).decide().guardName == "g9999")
      #expect(on(orders, read).decide().guardName == nil)
    }
  }

  @Suite struct DecisionTextTests {
    struct TextCase: Sendable {
      let statement: TestStatement
      let message: String
    }

    @Test(arguments: [
      TextCase(statement: on(orders, drop, "DROP TABLE"), message: "DROP TABLE on shop.orders is blocked"),
      TextCase(statement: on(orders, deleteAll, "DELETE"), message: "DELETE of all rows of shop.orders is blocked"),
      TextCase(statement: on(orders, delete, "SELECT"), message: "DELETE on shop.orders is blocked"),
      TextCase(
        statement: on(orders, drop, "DROP SCHEMA"), message: "DROP SCHEMA reaching table shop.orders is blocked"),
      TextCase(
        statement: on(orders, WARDEN_CLASS_ALTER | WARDEN_CLASS_DROP_COLUMN, "ALTER TABLE"),
        message: "ALTER TABLE DROP COLUMN on shop.orders is blocked"),
      TextCase(
        statement: TestStatement(command: "ALTER SYSTEM", classes: WARDEN_CLASS_SYSTEM),
        message: "ALTER SYSTEM is blocked"),
      TextCase(
        statement: TestStatement(command: "COPY", classes: WARDEN_CLASS_COPY_PROGRAM),
        message: "COPY with a program is blocked"),
      TextCase(
        statement: TestStatement(command: "COPY", classes: WARDEN_CLASS_SERVER_FILE),
        message: "COPY with a file of the server is blocked"),
      TextCase(statement: TestStatement(command: "", classes: drop), message: "this statement is blocked"),
    ])
    func messages(_ scenario: TextCase) {
      load([TestGuard()])
      #expect(scenario.statement.decide().message == scenario.message)
    }

    @Test func `a refusal tells the guard and the way forward`() {
      load([
        TestGuard(name: "whole-table-dml", statements: ["update_all", "delete_all"]),
        TestGuard(name: "destructive-ddl", action: "require_approval", statements: ["drop"]),
      ])
      let outcome = on(orders, deleteAll, "DELETE").decide()
      #expect(outcome.detail == #"Guard "whole-table-dml" blocks update_all, delete_all; this is delete_all."#)
      #expect(outcome.hint == "Add a WHERE clause that selects the rows to delete.")
      let approval = on(orders, drop, "DROP TABLE").decide()
      #expect(approval.action == WARDEN_ACTION_REQUIRE_APPROVAL)
      #expect(approval.decision == WARDEN_DECISION_APPROVAL_REQUIRED)
      #expect(approval.state == "WD001")
      #expect(approval.message == "DROP TABLE on shop.orders requires approval")
      #expect(approval.detail == #"Guard "destructive-ddl" requires approval for drop; this is drop."#)
      #expect(approval.hint?.contains("warden.break_glass(reason)") == true)
    }

    @Test func `an object that the subject may not see is not named`() {
      load([TestGuard(message: "ask the DBA")])
      for classes in [read, deleteAll, drop] {
        var statement = on(people, classes, "DROP SCHEMA")
        statement.accesses[0].isHidden = true
        let outcome = statement.decide()
        #expect(outcome.state == "42501")
        for text in [outcome.message, outcome.detail, outcome.hint] { #expect(text?.contains("people") == false) }
        #expect(outcome.message?.hasSuffix(" on an object that you may not see is blocked") == true)
        #expect(outcome.detail == #"Guard "g": ask the DBA"#)
      }
      var statement = on(own, WARDEN_CLASS_ALTER, "ALTER TABLE")
      statement.accesses[0].isHidden = true
      #expect(statement.decide().message == "ALTER TABLE on an object that you may not see is blocked")
    }

    @Test func `the first object that matched is named, with the column`() {
      load([TestGuard(objects: [Pattern("shop.people.email", object: 200, column: 2)], message: "ask data protection")])
      let outcome = TestStatement(accesses: [
        TestAccess(object: orders, classes: read, read: [2]), TestAccess(object: people, classes: read, read: [2]),
      ]).decide()
      #expect(outcome.message == "SELECT on shop.people.email is blocked")
      #expect(outcome.detail == #"Guard "g": ask data protection"#)
    }

    @Test(arguments: 0...70) func `texts are cut where there is no room`(room: Int) {
      load([TestGuard(name: "gü")])
      let long = TestObject(name: "shop.ééééééééééééééééé")
      let outcome = on(long, drop, "DROP TABLE").decide(room: room)
      #expect(outcome.action == WARDEN_ACTION_BLOCK)
      #expect(outcome.state == "42501")
      for text in [outcome.guardName, outcome.message] { #expect(text?.contains("\u{FFFD}") == false) }
    }
  }
}
