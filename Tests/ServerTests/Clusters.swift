/// Clusters that several suites share; a start takes seconds.
enum Clusters {
  /// With pg_warden loaded. Suites that stop or crash a server start their own.
  static func governed() throws -> Cluster { try shared.get() }

  static let preload = "shared_preload_libraries = 'pg_warden'"

  private nonisolated(unsafe) static let shared = Result { try Cluster([preload]) }
}
