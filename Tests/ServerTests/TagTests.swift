import Foundation
import Testing

extension ServerTests {
  /// What applications tell about their statements, and what long statements keep, in a server that runs.
  @Suite struct TagTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "tags")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    private func tag(_ key: String, where condition: String) throws -> String? {
      try shop.admin.query("SELECT warden.flush()")
      return try shop.admin.query(
        "SELECT tags ->> '\(key)' FROM warden.audit_log WHERE \(condition) ORDER BY seq DESC LIMIT 1"
      ).value
    }

    @Test func tagsOfACommentAreInTheAudit() throws {
      let session = try shop.connect("analyst")
      try session.query("SELECT 17 /*route='%2Forders%2F17',traceparent='00-5b-c5-01'*/")
      #expect(try tag("route", where: "statement LIKE 'SELECT 17 /*%'") == "/orders/17")
      #expect(try tag("traceparent", where: "tags ->> 'route' = '/orders/17'") == "00-5b-c5-01")
      try session.query("SELECT 18 /* nothing */")
      #expect(try tag("route", where: "statement LIKE 'SELECT 18 /*%' AND tags IS NULL") == nil)
    }

    @Test func longStatementsKeepTheirTagsAndADigest() throws {
      let session = try shop.connect("analyst")
      let statement = "SELECT 19" + String(repeating: ", 'it''s one of them'", count: 1500) + " /*route='long'*/"
      try session.query(statement)
      #expect(try tag("route", where: "statement LIKE 'SELECT 19,%'") == "long")
      let literal = statement.replacingOccurrences(of: "'", with: "''")
      let sql = "SELECT encode(sha256(convert_to('\(literal)', 'UTF8')), 'hex')"
      let digest = try shop.admin.query(sql).value
      let stored = "SELECT statement FROM warden.audit_log WHERE statement LIKE 'SELECT 19,%' ORDER BY seq LIMIT 1"
      let kept = try shop.admin.query(stored).value
      #expect(kept?.contains("bytes, sha256 \(digest ?? "none")] /*route='long'*/") == true)
    }

    @Test func whoeverReadsTheAuditMayReadTags() throws {
      let granted = try shop.admin.query(
        "SELECT has_function_privilege('warden_auditor', 'warden.statement_tags(text)', 'EXECUTE')")
      #expect(granted.value == "t")
      let tags = try shop.connect("analyst").query("SELECT warden.statement_tags('SELECT 1 /*a=''%C3%A9''*/')")
      #expect(tags.value == "{\"a\": \"é\"}")
      #expect(try shop.admin.query("SELECT warden.statement_tags('SELECT 1') IS NULL").value == "t")
    }
  }
}
