import Foundation
import Testing

extension ServerTests {
  /// Every query of docs/auditor-queries.md, over a trail that has something for each.
  @Suite struct AuditorQueriesTests {
    private func blocks() throws -> [String] {
      let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../../docs/auditor-queries.md")
      let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```")
      return parts.filter { $0.hasPrefix("sql\n") }.map { String($0.dropFirst(4)) }
    }

    @Test func everyQueryFindsWhatItAsksFor() throws {
      let shop = try Shop(Clusters.governed(), database: "questions")
      try shop.refill()
      try shop.mask()
      let analyst = try shop.connect("analyst", options: "-c warden.ticket=T-7")
      try analyst.query("SELECT email FROM shop.customers")
      _ = analyst.error("DELETE FROM shop.orders")
      _ = analyst.error("SELECT * FROM warden.audit_log")
      try shop.admin.query("ALTER TABLE shop.parcels ADD note text; GRANT SELECT ON shop.parcels TO clerk")
      let admin = try shop.connect()
      try admin.query("SELECT warden.break_glass('a test'); SELECT 'under glass'; SELECT warden.break_glass_end()")
      try shop.admin.query("SELECT warden.flush()")
      let auditor = try shop.connect("auditor")
      let queries = try blocks()
      #expect(queries.count >= 10)
      for query in queries {
        let rows = try auditor.query(query)
        // Whether there were failed logins is for other tests to make.
        if !query.contains("auth_failed") { #expect(!rows.rows.isEmpty, "\(query)") }
      }
    }
  }
}
