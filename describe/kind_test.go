package describe_test

import (
	"strings"
	"testing"

	"github.com/tensmith/tensmith/describe"
	"github.com/tensmith/tensmith/safetensors"
)

// TestKinds goes by names alone, those that tell models apart.
func TestKinds(t *testing.T) {
	tests := []struct{ model, names, want string }{
		{"Phi-3", "model.embed_tokens.weight model.layers.0.self_attn.qkv_proj.weight model.layers.0.mlp.gate_up_proj.weight", "language model (decoder)"},
		{"OPT", "model.decoder.embed_tokens.weight model.decoder.layers.0.self_attn.k_proj.weight model.decoder.layers.0.fc1.weight", "language model (decoder)"},
		{"Falcon", "transformer.word_embeddings.weight transformer.h.0.self_attention.query_key_value.weight", "language model (decoder)"},
		{"BLOOM", "word_embeddings.weight h.0.self_attention.query_key_value.weight", "language model (decoder)"},
		{"Pythia", "gpt_neox.embed_in.weight gpt_neox.layers.0.attention.query_key_value.weight", "language model (decoder)"},
		{"GPT-J", "transformer.wte.weight transformer.h.0.attn.q_proj.weight", "language model (decoder)"},
		{"MPT", "transformer.wte.weight transformer.blocks.0.attn.Wqkv.weight", "language model (decoder)"},
		{"ChatGLM", "transformer.embedding.word_embeddings.weight transformer.encoder.layers.0.self_attention.query_key_value.weight", "language model (decoder)"},
		{"InternLM 2", "model.tok_embeddings.weight model.layers.0.attention.wqkv.weight model.layers.0.feed_forward.w1.weight", "language model (decoder)"},
		{"Qwen 3 MoE", "model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight model.layers.0.mlp.experts.0.gate_proj.weight", "language model (decoder, Mixture of Experts)"},
		{"MLX MoE", "model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight model.layers.0.mlp.switch_mlp.up_proj.weight", "language model (decoder, Mixture of Experts)"},
		{"Mamba", "backbone.embeddings.weight backbone.layers.0.mixer.A_log backbone.layers.0.mixer.in_proj.weight", "language model (state space)"},
		{"RWKV", "emb.weight blocks.0.att.time_decay blocks.0.att.key.weight", "language model (RWKV)"},
		{"Qwen 2.5 VL", "visual.blocks.0.attn.qkv.weight visual.patch_embed.proj.weight model.embed_tokens.weight model.layers.0.self_attn.q_proj.weight model.layers.0.mlp.up_proj.weight", "vision-language model"},
		{"Gemma 3", "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight multi_modal_projector.mm_input_projection_weight language_model.model.embed_tokens.weight language_model.model.layers.0.self_attn.q_proj.weight", "vision-language model"},
		{"InternVL", "vision_model.encoder.layers.0.attn.qkv.weight mlp1.0.weight language_model.model.tok_embeddings.weight language_model.model.layers.0.attention.wqkv.weight", "vision-language model"},
		{"BART", "model.shared.weight model.encoder.layers.0.self_attn.k_proj.weight model.decoder.layers.0.encoder_attn.k_proj.weight", "language model (encoder and decoder)"},
		{"DistilBERT", "distilbert.embeddings.word_embeddings.weight distilbert.transformer.layer.0.attention.q_lin.weight", "language model (encoder, DistilBERT)"},
		{"DeBERTa", "deberta.embeddings.word_embeddings.weight deberta.encoder.layer.0.attention.self.query_proj.weight", "language model (encoder, DeBERTa)"},
		{"ModernBERT", "model.embeddings.tok_embeddings.weight model.layers.0.attn.Wqkv.weight", "language model (encoder, ModernBERT)"},
		{"sentence transformer", "embeddings.word_embeddings.weight encoder.layer.0.attention.self.query.weight", "language model (encoder, BERT)"},
		{"wav2vec 2.0", "wav2vec2.feature_extractor.conv_layers.0.conv.weight wav2vec2.encoder.layers.0.attention.q_proj.weight", "speech encoder (wav2vec 2.0)"},
		{"DINOv2", "embeddings.patch_embeddings.projection.weight encoder.layer.0.attention.attention.query.weight", "vision transformer"},
		{"ViT of timm", "patch_embed.proj.weight blocks.0.attn.qkv.weight", "vision transformer"},
		{"Swin", "patch_embed.proj.weight layers.0.blocks.0.attn.relative_position_bias_table layers.0.blocks.0.attn.qkv.weight", "vision transformer (Swin)"},
		{"ResNet of timm", "conv1.weight layer1.0.conv1.weight layer4.0.conv1.weight", "convolutional network (ResNet)"},
		{"ConvNeXt", "stem.0.weight stages.0.blocks.0.conv_dw.weight", "convolutional network (ConvNeXt)"},
		{"SAM", "image_encoder.blocks.0.attn.qkv.weight image_encoder.patch_embed.proj.weight mask_decoder.iou_token.weight", "image segmentation model (SAM)"},
		{"OpenCLIP", "token_embedding.weight transformer.resblocks.0.attn.in_proj_weight visual.transformer.resblocks.0.attn.in_proj_weight", "CLIP (text and image encoder)"},
		{"Wan", "patch_embedding.weight blocks.0.cross_attn.k.weight time_projection.1.weight", "diffusion transformer (Wan)"},
		{"Qwen-Image", "transformer_blocks.0.img_mod.1.weight txt_norm.weight transformer_blocks.0.attn.add_k_proj.weight", "diffusion transformer (Qwen-Image)"},
		{"PixArt", "adaln_single.linear.weight caption_projection.linear_1.weight transformer_blocks.0.attn1.to_q.weight", "diffusion transformer (PixArt)"},
		{"LTX", "patchify_proj.weight scale_shift_table adaln_single.linear.weight transformer_blocks.0.attn1.to_q.weight", "diffusion transformer (LTX-Video)"},
		{"SD3 of diffusers", "context_embedder.weight pos_embed.proj.weight transformer_blocks.0.attn.add_k_proj.weight transformer_blocks.0.attn.to_q.weight", "diffusion transformer (Stable Diffusion 3)"},
		{"HunyuanVideo", "double_blocks.0.img_attn_qkv.weight single_blocks.0.linear1.weight txt_in.individual_token_refiner.blocks.0.norm1.weight", "diffusion transformer (HunyuanVideo)"},
		{"UNet in SD names", "model.diffusion_model.input_blocks.0.0.weight model.diffusion_model.input_blocks.1.0.in_layers.0.weight model.diffusion_model.time_embed.0.weight", "diffusion UNet"},
		{"SwinIR", "conv_first.weight layers.0.residual_group.blocks.0.attn.qkv.weight layers.0.residual_group.blocks.0.attn.relative_position_bias_table patch_embed.norm.weight", "image upscaler (SwinIR)"},
		{"IP-Adapter", "image_proj.proj.weight ip_adapter.1.to_k_ip.weight", "IP-Adapter"},
		{"T2I-Adapter", "adapter.body.0.resnets.0.block1.weight adapter.conv_in.weight", "T2I-Adapter"},
		{"PEFT prompt tuning", "prompt_embeddings", "prompt-tuning adapter"},
		{"IA3", "base_model.model.model.layers.0.self_attn.k_proj.ia3_l", "IA³ adapter"},
		{"DoRA", "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "LoRA adapter"},
		{"diffusers attention processors", "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight", "LoRA adapter"},
		{"OFT", "lora_unet_a.oft_blocks", "LyCORIS adapter (OFT)"},
		{"prose", "this is not a model", "unknown"},
		{"alike", "player.0.attention h.0 path.0.attn.c_attnx", "unknown"},
	}
	for _, test := range tests {
		var entries []safetensors.Entry
		for name := range strings.FieldsSeq(test.names) {
			entries = append(entries, info(name, safetensors.F16, 8, 8))
		}
		if s := describe.Entries(entries, nil, nil); s.Kind != test.want {
			t.Errorf("%s: %s by %s, want %s", test.model, s.Kind, s.Evidence, test.want)
		}
	}
}
