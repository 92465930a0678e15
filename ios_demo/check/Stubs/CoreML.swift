// Stand-in for CoreML: what the app uses of it, with the iOS that has it first. Classes are not Sendable, so
// that the compiler finds one that crosses actors.
@_exported import CoreVideo

public enum MLComputeUnits: Int, Sendable { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }  // iOS 16.0
public class MLModelConfiguration: NSObject {  // iOS 12.0
    public override init() {}  // iOS 12.0
    public var computeUnits: MLComputeUnits { get { fatalError() } set {} }  // iOS 12.0
}
public enum MLMultiArrayDataType: Int, Sendable { case double, float32, float16, int32 }  // iOS 16.0
public class MLMultiArray: NSObject {  // iOS 11.0
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws { fatalError() }  // iOS 11.0
    public var shape: [NSNumber] { fatalError() }  // iOS 11.0
    public var count: Int { fatalError() }  // iOS 11.0
    public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R) rethrows -> R { fatalError() }  // iOS 15.4
    public subscript(key: [NSNumber]) -> NSNumber { get { fatalError() } set {} }  // iOS 11.0
}
public class MLFeatureValue: NSObject {  // iOS 11.0
    public convenience init(multiArray: MLMultiArray) { fatalError() }  // iOS 11.0
    public convenience init(pixelBuffer: CVPixelBuffer) { fatalError() }  // iOS 11.0
    public var multiArrayValue: MLMultiArray? { fatalError() }  // iOS 11.0
}
public protocol MLFeatureProvider {  // iOS 11.0
    var featureNames: Set<String> { get }
    func featureValue(for featureName: String) -> MLFeatureValue?
}
public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {  // iOS 11.0
    public init(dictionary: [String: Any]) throws { fatalError() }  // iOS 11.0
    public var featureNames: Set<String> { fatalError() }  // iOS 11.0
    public func featureValue(for featureName: String) -> MLFeatureValue? { fatalError() }  // iOS 11.0
}
public class MLPredictionOptions: NSObject {  // iOS 11.0
    public override init() {}  // iOS 11.0
}
public class MLModel: NSObject {  // iOS 11.0
    public static func compileModel(at url: URL) async throws -> URL { fatalError() }  // iOS 16.0
    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws { fatalError() }  // iOS 12.0
    public func prediction(from input: any MLFeatureProvider, options: MLPredictionOptions) throws -> any MLFeatureProvider { fatalError() }  // iOS 11.0
    public func prediction(from input: any MLFeatureProvider, options: MLPredictionOptions) async throws -> any MLFeatureProvider { fatalError() }  // iOS 17.0
}
public enum MLComputeDevice: Sendable {  // iOS 17.0
    case cpu(MLCPUComputeDevice), gpu(MLGPUComputeDevice), neuralEngine(MLNeuralEngineComputeDevice)
}
public final class MLCPUComputeDevice: NSObject, @unchecked Sendable {}  // iOS 17.0
public final class MLGPUComputeDevice: NSObject, @unchecked Sendable {}  // iOS 17.0
public final class MLNeuralEngineComputeDevice: NSObject, @unchecked Sendable {}  // iOS 17.0
public enum MLModelStructure {  // iOS 17.4
    case neuralNetwork(NeuralNetwork), program(Program), pipeline(Pipeline), unsupported
    public struct NeuralNetwork {}  // iOS 17.4
    public struct Pipeline {}  // iOS 17.4
    public struct Program {  // iOS 17.4
        public let functions: [String: Function]  // iOS 17.4
        public struct Function { public let block: Block }  // iOS 17.4
        public struct Block { public let operations: [Operation] }  // iOS 17.4
        public struct Operation {}  // iOS 17.4
    }
}
public final class MLComputePlan {  // iOS 17.4
    public struct DeviceUsage { public let preferred: MLComputeDevice }  // iOS 17.4
    public static func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLComputePlan { fatalError() }  // iOS 17.4
    public var modelStructure: MLModelStructure { fatalError() }  // iOS 17.4
    public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? { fatalError() }  // iOS 17.4
}
