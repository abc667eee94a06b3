package describe

// A rule names a kind of model by the patterns of its names.
type rule struct {
	kind string
	base string   // what the rule alone tells of the base, or nothing
	all  []string // needs, see patterns.find; the first one is the evidence
	none []string
}

// Words for people.
const (
	decoder    = "language model (decoder)"
	experts    = "language model (decoder, Mixture of Experts)"
	vision     = "vision-language model"
	lora       = "LoRA adapter"
	denoiser   = "diffusion transformer"
	unet       = "diffusion UNet"
	checkpoint = "diffusion checkpoint"
	full       = "Stable Diffusion checkpoint"
)

// rules are tried from top to bottom, the particular ones first: adapters bear
// the names of what they adapt, and most models have layers with attention.
var rules = []rule{
	{"optimizer state", "", []string{"exp_avg_sq|exp_avg|momentum_buffer$|optimizer.state"}, nil},

	// Adapters.
	{lora, "", []string{"lora_down.weight$|lora_up.weight$"}, []string{"hada_w1_a|lokr_w1|lokr_w1_a"}},
	{"LyCORIS adapter (LoHa)", "", []string{"hada_w1_a$|hada_w2_a$"}, nil},
	{"LyCORIS adapter (LoKr)", "", []string{"lokr_w1$|lokr_w1_a$|lokr_w2$|lokr_w2_a$"}, nil},
	{"LyCORIS adapter (OFT)", "", []string{"oft_blocks$|oft_diag$"}, nil},
	{"LyCORIS adapter (GLoRA)", "", []string{"^lora_", "a1.weight$", "b1.weight$"}, nil},
	{"LyCORIS adapter (full difference)", "", []string{"diff$", "^lora_"}, nil},
	{"IP-Adapter", "", []string{"to_k_ip.weight$|to_k_ip", "^image_proj|^ip_adapter|image_proj_model|^encoder_hid_proj"}, nil},
	{lora, "", []string{"lora_A|lora_B|lora.down.weight$|lora.up.weight$|_lora.down.weight$|lora_embedding_A"}, nil},
	{"VeRA adapter", "", []string{"vera_lambda_b|vera_lambda_d"}, nil},
	{"IA³ adapter", "", []string{"ia3_l"}, nil},
	{"prompt-tuning adapter", "", []string{"^prompt_embeddings$|^prompt_embeddings"}, nil},
	{"textual inversion", "", []string{"^emb_params$|string_to_param"}, nil},
	{"textual inversion", "SDXL", []string{"^clip_g$", "^clip_l$"}, nil},
	{"ControlNet", "", []string{"controlnet_cond_embedding|controlnet_down_blocks|controlnet_blocks|input_hint_block|^controlnet_x_embedder"}, []string{"first_stage_model"}},
	{"T2I-Adapter", "", []string{"^adapter.body.#|^body.#.in_conv", "conv_in.weight"}, nil},

	// Single files with all a picture takes.
	{full, "SDXL", []string{"model.diffusion_model.input_blocks.#", "conditioner.embedders.#.transformer"}, nil},
	{full, "SDXL refiner", []string{"model.diffusion_model.input_blocks.#", "conditioner.embedders.#.model"}, nil},
	{full, "Stable Diffusion 2", []string{"model.diffusion_model.input_blocks.#", "cond_stage_model.model."}, nil},
	{full, "Stable Diffusion 1", []string{"model.diffusion_model.input_blocks.#", "cond_stage_model.transformer."}, nil},
	{full, "", []string{"model.diffusion_model.input_blocks.#", "first_stage_model."}, nil},
	{full, "Stable Diffusion 3", []string{"joint_blocks.#.x_block", "first_stage_model.|text_encoders."}, nil},
	{checkpoint, "Flux.1", []string{"double_blocks.#.img_attn.qkv", "^vae.|first_stage_model.|^text_encoders."}, nil},
	{unet, "", []string{"input_blocks.#.#.in_layers|input_blocks.#.#.transformer_blocks|input_blocks.#.#.op", "time_embed.#|out.#|middle_block.#"}, nil},
	{unet, "", []string{"down_blocks.#.resnets.#|down_blocks.#.attentions.#", "time_embedding.linear_#"}, nil},

	// Diffusion transformers.
	{denoiser, "Flux.1", []string{"double_blocks.#.img_attn.qkv", "single_blocks.#.linear1"}, []string{"txt_in.individual_token_refiner"}},
	{denoiser, "HunyuanVideo", []string{"double_blocks.#.img_attn_qkv|txt_in.individual_token_refiner"}, nil},
	{denoiser, "Flux.1", []string{"single_transformer_blocks.#.", "transformer_blocks.#.attn.add_k_proj", "^x_embedder|^context_embedder"}, nil},
	{denoiser, "Flux.1", []string{"double_blocks.#.img_attn", "single_blocks.#"}, nil},
	{denoiser, "Stable Diffusion 3", []string{"joint_blocks.#.x_block"}, nil},
	{denoiser, "Qwen-Image", []string{"transformer_blocks.#.img_mod", "^txt_norm|txt_in"}, nil},
	{denoiser, "Stable Diffusion 3", []string{"transformer_blocks.#.attn.add_k_proj", "^context_embedder", "pos_embed.proj"}, nil},
	{denoiser, "Wan", []string{"blocks.#.cross_attn|blocks.#.attn2.to_k", "^patch_embedding.weight|model.patch_embedding.weight|patch_embedding.weight", "time_projection.#|condition_embedder"}, nil},
	{denoiser, "LTX-Video", []string{"^patchify_proj|model.diffusion_model.patchify_proj", "scale_shift_table"}, nil},
	{denoiser, "PixArt", []string{"adaln_single.", "caption_projection."}, nil},
	{denoiser, "Lumina 2", []string{"noise_refiner.#", "context_refiner.#"}, nil},
	{denoiser, "", []string{"transformer_blocks.#.attn1.to_q|transformer_blocks.#.attn.to_q", "time_embed|adaln_single|timestep_embedder|patch_embed|pos_embed|time_text_embed"}, nil},
	{denoiser, "", []string{"adaLN_modulation.#", "t_embedder.mlp.#"}, nil},

	// What turns pictures into latents, and enlarges them.
	{"VAE", "Wan", []string{"decoder.middle.#.residual.#", "encoder.downsamples.#"}, nil},
	{"VAE", "", []string{"decoder.mid_block.|decoder.mid.block_#", "decoder.conv_in|encoder.conv_in"}, nil},
	{"VAE", "", []string{"decoder.conv_in.weight$", "encoder.conv_in.weight$"}, nil},
	{"VAE decoder", "", []string{"decoder.up_blocks.#.resnets|decoder.up.#.block"}, nil},
	{"VAE encoder", "", []string{"encoder.down_blocks.#.resnets|encoder.down.#.block"}, nil},
	{"image upscaler (ESRGAN)", "", []string{"RRDB_trunk.#.RDB1|model.#.sub.#.RDB1|body.#.rdb1"}, nil},
	{"image upscaler (SwinIR)", "", []string{"layers.#.residual_group.blocks.#"}, nil},

	// Speech.
	{"speech recognition model (Whisper)", "", []string{"decoder.layers.#.encoder_attn", "encoder.conv1"}, nil},
	{"speech encoder (wav2vec 2.0)", "", []string{"feature_extractor.conv_layers.#", "encoder.layers.#"}, nil},

	// Pictures and text.
	{vision, "", []string{"vision_tower.|visual.blocks.#|multi_modal_projector|vision_model.encoder.layers.#|vision_model.transformer.layers.#|vision_model.global_transformer|vision_embed_tokens|mlp1.#|vision_encoder.transformer|vision_language_adapter",
		"layers.#.self_attn.q_proj|layers.#.self_attn.qkv_proj|layers.#.attention.wqkv|layers.#.attention.wq|layers.#.linear_attn|decoder.layers.#", "embed_tokens|tok_embeddings|language_model|text_model.layers"}, []string{"text_model.embeddings.token_embedding"}},
	{"CLIP (text and image encoder)", "", []string{"text_model.encoder.layers.#", "vision_model.encoder.layers.#"}, nil},
	{"CLIP (text and image encoder)", "", []string{"visual.transformer.resblocks.#|visual.trunk|visual.conv1", "token_embedding.weight"}, nil},
	{"text encoder (CLIP)", "", []string{"text_model.embeddings.token_embedding|text_model.encoder.layers.#"}, nil},
	{"text encoder (CLIP)", "", []string{"transformer.resblocks.#", "token_embedding.weight"}, nil},
	{"image encoder (CLIP)", "", []string{"vision_model.encoder.layers.#|vision_model.embeddings.patch_embedding"}, nil},
	{"image encoder (CLIP)", "", []string{"transformer.resblocks.#"}, nil},
	{"image segmentation model (SAM)", "", []string{"mask_decoder.", "image_encoder.|vision_encoder."}, nil},

	// Encoders, and encoders with decoders.
	{"language model (encoder and decoder, T5)", "", []string{"decoder.block.#.layer.#.EncDecAttention", "encoder.block.#.layer.#.SelfAttention"}, nil},
	{"text encoder (T5)", "", []string{"encoder.block.#.layer.#.SelfAttention"}, nil},
	{"language model (encoder and decoder)", "", []string{"decoder.layers.#.encoder_attn", "encoder.layers.#.self_attn"}, nil},
	{"vision transformer", "", []string{"embeddings.patch_embeddings", "encoder.layer.#.attention"}, nil},
	{"vision transformer (Swin)", "", []string{"attn.relative_position_bias_table|attention.self.relative_position_bias_table", "patch_embed|embeddings.patch_embeddings"}, nil},
	{"vision transformer", "", []string{"patch_embed.proj", "blocks.#.attn.qkv"}, nil},
	{"language model (encoder, DeBERTa)", "", []string{"encoder.layer.#.attention.self.query_proj"}, nil},
	{"language model (encoder, BERT)", "", []string{"encoder.layer.#.attention.self.query", "embeddings.word_embeddings"}, nil},
	{"language model (encoder, DistilBERT)", "", []string{"transformer.layer.#.attention.q_lin"}, nil},
	{"language model (encoder, ModernBERT)", "", []string{"layers.#.attn.Wqkv", "embeddings.tok_embeddings"}, nil},
	{"language model (encoder, BERT)", "", []string{"encoder.layer.#.attention.self.query"}, nil},

	// Decoders.
	{"language model (state space)", "", []string{"mixer.A_log"}, []string{"self_attn.q_proj"}},
	{"language model (RWKV)", "", []string{"blocks.#.att.time_decay|blocks.#.attention.time_decay|blocks.#.att.x_r|blocks.#.att.time_maa_x"}, nil},
	{experts, "", []string{"layers.#.mlp.experts|layers.#.block_sparse_moe.experts|layers.#.feed_forward.experts|layers.#.ffn.experts|blocks.#.ffn.experts|layers.#.mlp.switch_mlp|layers.#.block_sparse_moe.switch_mlp|layers.#.block_sparse_moe.input_linear"}, nil},
	{decoder, "", []string{"layers.#.self_attn.q_proj|layers.#.self_attn.qkv_proj|layers.#.self_attn.W_pack|layers.#.self_attn.q_a_proj|layers.#.self_attn.kv_a_proj_with_mqa|layers.#.self_attn.k_proj|layers.#.self_attn.v_proj",
		"embed_tokens|lm_head|mlp.gate_proj|mlp.gate_up_proj|mlp.up_proj|wte|mlp.fc1|fc1|mlp.c_fc"}, nil},
	{decoder, "", []string{"layers.#.attention.wq|layers.#.attention.wqkv", "tok_embeddings|feed_forward.w1"}, nil},
	{decoder, "", []string{"h.#.attn.c_attn|h.#.attn.q_proj|h.#.attn.attention.q_proj"}, nil},
	{decoder, "", []string{"h.#.self_attention.query_key_value|layers.#.self_attention.query_key_value"}, nil},
	{decoder, "", []string{"gpt_neox.layers.#.attention|layers.#.attention.query_key_value"}, nil},
	{decoder, "", []string{"blocks.#.attn.Wqkv|blocks.#.norm_attn_norm.attn.Wqkv|transformer.blocks.#.att_proj"}, nil},

	{"convolutional network (ResNet)", "", []string{"layer1.#.conv1.weight$", "layer4.#.conv1.weight$"}, nil},
	{"convolutional network (ResNet)", "", []string{"encoder.stages.#.layers.#.layer.#.convolution"}, nil},
	{"convolutional network (ConvNeXt)", "", []string{"stages.#.blocks.#.conv_dw|stages.#.layers.#.dwconv"}, nil},
}

// classes are kinds by the end of the class that a config names, for models
// whose names told nothing.
var classes = []struct{ suffix, kind string }{
	{"ForCausalLM", decoder},
	{"LMHeadModel", decoder},
	{"ForMaskedLM", "language model (encoder)"},
	{"ForSeq2SeqLM", "language model (encoder and decoder)"},
	{"ForSpeechSeq2Seq", "speech recognition model"},
	{"ForCTC", "speech recognition model"},
	{"ForImageTextToText", vision},
	{"ForVision2Seq", vision},
	{"ForImageClassification", "image classifier"},
	{"ForSequenceClassification", "text classifier"},
	{"ForTokenClassification", "text classifier (tokens)"},
	{"ForQuestionAnswering", "language model (question answering)"},
	{"ForObjectDetection", "object detector"},
	{"CLIPTextModel", "text encoder (CLIP)"},
	{"CLIPTextModelWithProjection", "text encoder (CLIP)"},
	{"CLIPVisionModelWithProjection", "image encoder (CLIP)"},
	{"T5EncoderModel", "text encoder (T5)"},
	{"ControlNetModel", "ControlNet"},
	{"UNet2DConditionModel", unet},
	{"UNet2DModel", unet},
	{"Transformer2DModel", denoiser},
	{"Transformer3DModel", denoiser},
	{"AutoencoderKL", "VAE"},
	{"AutoencoderTiny", "VAE"},
	{"VQModel", "VAE"},
}

// folders are kinds by the name of a pipeline's component, for those whose
// tensors told nothing.
var folders = []struct{ prefix, kind string }{
	{"unet", unet},
	{"transformer", denoiser},
	{"prior", "diffusion prior"},
	{"vae", "VAE"},
	{"vqvae", "VAE"},
	{"movq", "VAE"},
	{"text_encoder", "text encoder"},
	{"image_encoder", "image encoder"},
	{"controlnet", "ControlNet"},
	{"safety_checker", "classifier"},
	{"vocoder", "vocoder"},
}

// bases are what metadata call the models that others are made from, by
// prefix, and how people call them.
var bases = []struct{ prefix, base string }{
	{"sdxl", "SDXL"},
	{"stable-diffusion-xl-v1-refiner", "SDXL refiner"},
	{"stable-diffusion-xl", "SDXL"},
	{"sd_xl", "SDXL"},
	{"sd_v1", "Stable Diffusion 1"},
	{"sd_1", "Stable Diffusion 1"},
	{"stable-diffusion-v1", "Stable Diffusion 1"},
	{"sd_v2", "Stable Diffusion 2"},
	{"sd_2", "Stable Diffusion 2"},
	{"stable-diffusion-v2", "Stable Diffusion 2"},
	{"sd3", "Stable Diffusion 3"},
	{"stable-diffusion-3", "Stable Diffusion 3"},
	{"stable-diffusion-v3", "Stable Diffusion 3"},
	{"flux2", "Flux.2"},
	{"flux-2", "Flux.2"},
	{"flux", "Flux.1"},
	{"hunyuan", "HunyuanVideo"},
	{"wan", "Wan"},
	{"qwen-image", "Qwen-Image"},
	{"qwen_image", "Qwen-Image"},
	{"lumina2", "Lumina 2"},
	{"lumina-2", "Lumina 2"},
}

// traits tell the base of what is made for a diffusion model. The first need
// found decides; a width other than 0 must be the size of the tensor's
// dimension 1, as the width of the text encoder is that of cross-attention.
var traits = []struct {
	need, base string
	width      uint64
}{
	{"^lora_te2|^lora_te2_text_model|^text_encoder_#.text_model", "SDXL", 0},
	{"^lora_unet_joint_blocks|joint_blocks.#", "Stable Diffusion 3", 0},
	{"^lora_unet_double_blocks_#_img_attn|^lora_unet_single_blocks|single_transformer_blocks.#|^lora_transformer_single_transformer_blocks|diffusion_model.double_blocks.#", "Flux.1", 0},
	{"transformer_blocks.#.img_mod|^lora_unet_transformer_blocks_#_img_mod", "Qwen-Image", 0},
	{"^lora_unet_blocks_#_cross_attn|diffusion_model.blocks.#.cross_attn", "Wan", 0},
	{"attn2_to_k.lora_down|attn2.to_k.lora_A|attn2.processor.to_k_lora.down|attn2.to_k.weight|attn2_to_k.hada_w1_b|attn2.to_k.lora.down|to_k_ip.weight", "Stable Diffusion 1", 768},
	{"attn2_to_k.lora_down|attn2.to_k.lora_A|attn2.processor.to_k_lora.down|attn2.to_k.weight|attn2_to_k.hada_w1_b|attn2.to_k.lora.down|to_k_ip.weight", "Stable Diffusion 2", 1024},
	{"attn2_to_k.lora_down|attn2.to_k.lora_A|attn2.processor.to_k_lora.down|attn2.to_k.weight|attn2_to_k.hada_w1_b|attn2.to_k.lora.down|to_k_ip.weight", "SDXL", 2048},
	{"attn2_to_k.lora_down|attn2.to_k.lora_A|attn2.to_k.weight|attn2_to_k.hada_w1_b", "SDXL refiner", 1280},
	{"^emb_params$", "Stable Diffusion 1", 768},
	{"^emb_params$", "Stable Diffusion 2", 1024},
}
