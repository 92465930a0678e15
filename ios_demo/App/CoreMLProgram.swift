import CoreML
import Recognizer

/// The only class that knows Core ML's calls. A state's feature value goes in again as it came out: nobody
/// reads it, so that it does not matter how Core ML lays it out.
final class CoreMLProgram: Program {
    let name = Manifest.target
    private let model: MLModel
    private let input: InputSpec
    private let buffer: CVPixelBuffer
    private let frame: MLFeatureValue
    private let options = MLPredictionOptions()
    private let places: [[NSNumber]]  // of the logits in their array

    /// Throws `ProgramError` when there is no memory for the picture.
    init(_ model: MLModel, _ manifest: Manifest) throws {
        self.model = model
        input = manifest.input
        places = manifest.labels.indices.map { [0, NSNumber(value: $0)] }
        var made: CVPixelBuffer?
        // Core ML hands a buffer with an IOSurface to the Neural Engine without a copy.
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey as String: [String: Any]()]
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, input.size, input.size, kCVPixelFormatType_32BGRA,
            attributes as CFDictionary, &made)
        guard status == kCVReturnSuccess, let made else {
            throw ProgramError(
                "no pixel buffer of \(input.size) x \(input.size) (\(status)): close other apps")
        }
        buffer = made
        frame = MLFeatureValue(pixelBuffer: made)
    }

    func picture(_ fill: (BgraTarget) throws -> Void) throws {
        guard CVPixelBufferLockBaseAddress(buffer, []) == kCVReturnSuccess,
            let base = CVPixelBufferGetBaseAddress(buffer)
        else { throw ProgramError("the model's picture cannot be locked") }
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        let bytes = UnsafeMutableRawBufferPointer(start: base, count: stride * CVPixelBufferGetHeight(buffer))
        try fill(BgraTarget(bytes: bytes, size: input.size, rowStride: stride))
    }

    func zeros(_ tensor: TensorSpec) throws -> MLFeatureValue {
        do {
            let array = try MLMultiArray(
                shape: tensor.shape.map { NSNumber(value: $0) },
                dataType: tensor.scalar == .float16 ? .float16 : .float32)
            array.withUnsafeMutableBytes { bytes, _ in
                _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
            }
            return MLFeatureValue(multiArray: array)
        } catch {
            throw ProgramError("no array for \(tensor.name): \(error.localizedDescription)")
        }
    }

    func run(_ states: [String: MLFeatureValue]) throws -> [String: MLFeatureValue] {
        var inputs: [String: Any] = states
        inputs[input.name] = frame
        let answer: any MLFeatureProvider
        do {
            answer = try model.prediction(
                from: MLDictionaryFeatureProvider(dictionary: inputs), options: options)
        } catch {
            throw ProgramError("Core ML fails: \(error.localizedDescription)")
        }
        var outputs: [String: MLFeatureValue] = [:]
        for name in answer.featureNames { outputs[name] = answer.featureValue(for: name) }
        return outputs
    }

    /// By indices, which heed the strides: the Neural Engine pads rows.
    func read(_ value: MLFeatureValue, into logits: inout [Float]) throws {
        guard let array = value.multiArrayValue, array.count == places.count, array.shape.count == 2 else {
            throw ProgramError("Core ML gives logits of another shape than the manifest says: export again")
        }
        for (i, place) in places.enumerated() { logits[i] = array[place].floatValue }
    }
}

extension ComputeUnits {
    var coreML: MLComputeUnits {
        switch self {
        case .cpuAndNeuralEngine: .cpuAndNeuralEngine
        case .cpuAndGPU: .cpuAndGPU
        case .cpuOnly: .cpuOnly
        }
    }
}
