import Contract
import Testing

// Which columns of a masked relation a session sees masked.

extension PolicyTests {
  @Suite struct ExemptionTests {
    struct Scenario: Sendable {
      let name: String
      var exemptions: [TestExemption] = []
      var relation = TestObject(oid: 200, name: "shop.people")
      var session = TestSession()
      var owner = false
      /// Of columns 2 and 3.
      let masked: [Bool]
    }

    private static let clerk = Subject("role:clerk", role: 500)
    private static let helpdesk = Subject(all: [Subject("role:clerk", role: 500), "application:helpdesk"])
    private static let child = TestObject(
      oid: 201, name: "shop.people_1", ancestors: [200], columns: ["note", "", "email"])

    @Test(arguments: [
      Scenario(name: "nobody is exempt", masked: [true, true]),
      Scenario(name: "superuser", session: TestSession(isSuperuser: true), masked: [false, false]),
      Scenario(name: "owner", owner: true, masked: [false, false]),
      Scenario(
        name: "breaking glass lifts no mask", session: TestSession(isBreakingGlass: true), masked: [true, true]),
      Scenario(name: "everything", exemptions: [TestExemption(subjects: [clerk])], masked: [false, false]),
      Scenario(
        name: "other role", exemptions: [TestExemption(subjects: [clerk])],
        session: TestSession(roles: [1], userRoles: [1]), masked: [true, true]),
      Scenario(
        name: "role and application", exemptions: [TestExemption(subjects: [helpdesk])],
        session: TestSession(roles: [500], application: "helpdesk"), masked: [false, false]),
      Scenario(
        name: "role by another application", exemptions: [TestExemption(subjects: [helpdesk])],
        session: TestSession(roles: [500], application: "psql"), masked: [true, true]),
      Scenario(
        name: "another role by the application", exemptions: [TestExemption(subjects: [helpdesk])],
        session: TestSession(roles: [1], userRoles: [500], application: "helpdesk"), masked: [true, true]),
      Scenario(
        name: "role of the user only", exemptions: [TestExemption(subjects: [clerk])],
        session: TestSession(roles: [1], userRoles: [500]), masked: [true, true]),
      Scenario(
        name: "column", exemptions: [TestExemption(targets: [Pattern("shop.people.note", object: 200, column: 3)])],
        masked: [true, false]),
      Scenario(
        name: "column of the parent, by name in the child",
        exemptions: [TestExemption(targets: [Pattern("shop.people.email", object: 200, column: 2)])],
        relation: child, masked: [true, false]),
      Scenario(
        name: "parent", exemptions: [TestExemption(targets: [Pattern("shop.people", object: 200)])],
        relation: child, masked: [false, false]),
      Scenario(
        name: "child is not the parent", exemptions: [TestExemption(targets: [Pattern("shop.people_1", object: 201)])],
        masked: [true, true]),
      Scenario(
        name: "schema", exemptions: [TestExemption(targets: [Pattern("shop.*", schema: 10)])], masked: [false, false]),
      Scenario(
        name: "other schema", exemptions: [TestExemption(targets: [Pattern("x.*", schema: 9)])], masked: [true, true]),
      Scenario(name: "schema by name", exemptions: [TestExemption(targets: ["shop.*"])], masked: [false, false]),
      Scenario(
        name: "relation by name", exemptions: [TestExemption(targets: ["shop.people"])], masked: [false, false]),
      Scenario(name: "expired now", exemptions: [TestExemption(until: 1000)], masked: [true, true]),
      Scenario(name: "expires next", exemptions: [TestExemption(until: 1001)], masked: [false, false]),
      Scenario(
        name: "two that complete each other",
        exemptions: [
          TestExemption(targets: [Pattern("shop.people.email", object: 200, column: 2)]),
          TestExemption(targets: [Pattern("shop.people.note", object: 200, column: 3)]),
        ], masked: [false, false]),
    ])
    func columns(_ scenario: Scenario) {
      #expect(load([], scenario.exemptions))
      #expect(maskedColumns(scenario) == scenario.masked)
    }

    @Test func `without a policy everybody but owners sees masks`() {
      warden_policy_discard()
      #expect(maskedColumns(Scenario(name: "", masked: [])) == [true, true])
      #expect(maskedColumns(Scenario(name: "", owner: true, masked: [])) == [false, false])
    }

    @Test func `a write by masked columns is refused`() {
      let arena = Arena()
      var relation = TestObject().row(arena)
      var texts = arena.buffer()
      var verdict = WardenVerdict()
      warden_masked_write(&relation, 2, WARDEN_MASKED_WRITE_READS, false, &texts, &verdict)
      #expect(Outcome(verdict).state == "42501")
      #expect(Outcome(verdict).action == WARDEN_ACTION_BLOCK)
      #expect(Outcome(verdict).message == "reading the masked column shop.orders.email to change data is blocked")
      warden_masked_write(&relation, 0, WARDEN_MASKED_WRITE_READS, false, &texts, &verdict)
      #expect(Outcome(verdict).message == "reading the masked columns of shop.orders to change data is blocked")
      warden_masked_write(&relation, 2, WARDEN_MASKED_WRITE_READS, true, &texts, &verdict)
      #expect(Outcome(verdict).state == "42501")
      #expect(Outcome(verdict).message?.contains("orders") == false)
      for (why, message) in [
        (WARDEN_MASKED_WRITE_CONFLICT, "ON CONFLICT over the masked column shop.orders.email is blocked"),
        (WARDEN_MASKED_WRITE_STORES, "storing a masked value in the masked column shop.orders.email is blocked"),
      ] {
        warden_masked_write(&relation, 2, why, false, &texts, &verdict)
        #expect(Outcome(verdict).message == message && Outcome(verdict).state == "42501")
        warden_masked_write(&relation, 2, why, true, &texts, &verdict)
        #expect(Outcome(verdict).message?.contains("orders") == false)
      }
    }

    private func maskedColumns(_ scenario: Scenario) -> [Bool] {
      let arena = Arena()
      var session = scenario.session.row(arena)
      var relation = scenario.relation.row(arena)
      var masked = [false, false]
      let total = warden_masked_columns(&session, &relation, scenario.owner, 1000, [2, 3], 2, &masked)
      #expect(total == Int64(masked.count { $0 }))
      return masked
    }
  }
}
